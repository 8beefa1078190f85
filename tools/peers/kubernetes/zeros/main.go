// Prints, for every struct that a built-in object can hold, the JSON of its zero value: the fields that Kubernetes
// writes out even when nobody set them. `go run ./zeros > ../../../src/seatrial/kube/model/data/zeros.json`
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

var (
	found     = map[string]json.RawMessage{}
	seen      = map[reflect.Type]bool{}
	marshaler = reflect.TypeFor[json.Marshaler]()
)

func main() {
	types := scheme.Scheme
	if err := apiextensions.AddToScheme(types); err != nil {
		panic(err)
	}
	for kind, each := range types.AllKnownTypes() {
		if kind.Version == "v1" || kind.Version == "v2" || kind.Version == runtime.APIVersionInternal {
			visit(each)
		}
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	if err := out.Encode(found); err != nil {
		panic(err)
	}
}

func visit(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Array:
		visit(t.Elem())
		return
	case reflect.Struct:
	default:
		return
	}
	if seen[t] || t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler) {
		return
	}
	seen[t] = true
	for i := range t.NumField() {
		visit(t.Field(i).Type)
	}
	zero, err := json.Marshal(reflect.New(t).Interface())
	if err != nil {
		panic(err)
	}
	if string(zero) != "{}" && t.Name() != "" {
		found[definition(t)] = zero
	}
}

// definition is the name a type has in OpenAPI documents.
func definition(t reflect.Type) string {
	host, path, _ := strings.Cut(t.PkgPath(), "/")
	parts := strings.Split(host, ".")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ".") + "." + strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}
