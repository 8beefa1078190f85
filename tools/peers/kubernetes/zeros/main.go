// Prints, for every struct that a built-in object can hold, how Kubernetes writes what is empty: the JSON of its zero
// value (`printed`), and the fields left out when they hold nothing, zero or false (`omitted`).
// `go run ./zeros > ../../../src/seatrial/kube/model/data/zeros.json`
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

type form struct {
	Printed json.RawMessage `json:"printed"`
	Omitted []string        `json:"omitted,omitempty"`
}

var (
	found     = map[string]form{}
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
	names := slices.Sorted(maps.Keys(found))
	for i, name := range names {
		line, err := json.Marshal(found[name])
		if err != nil {
			panic(err)
		}
		open, end := " ", ","
		if i == 0 {
			open = "{"
		}
		if i == len(names)-1 {
			end = "}"
		}
		fmt.Printf("%s%q: %s%s\n", open, name, line, end)
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
	omitted := omitted(t)
	if t.Name() != "" && !strings.HasSuffix(t.Name(), "List") && (string(zero) != "{}" || len(omitted) > 0) {
		found[definition(t)] = form{zero, omitted}
	}
}

// omitted are the fields that `omitempty` leaves out although somebody wrote them: no pointer tells an empty value
// from none.
func omitted(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" || !strings.Contains(options, "omitempty") {
			continue
		}
		switch field.Type.Kind() {
		case reflect.Slice, reflect.Map, reflect.String, reflect.Bool, reflect.Int32, reflect.Int64, reflect.Int:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
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
