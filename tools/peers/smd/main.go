// Command smd answers the cases of tests/golden/patch with Kubernetes' own libraries, so that Seatrial's patches
// and field ownership can be compared with them. It reads the cases, writes the answers into them, and is only
// needed to add cases or to move to another Kubernetes version:
//
//	go run . -openapi <kubernetes>/api/openapi-spec/v3 ../../../tests/golden/patch
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

type object = map[string]any

type strategicCase struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Old    object `json:"old"`
	Patch  object `json:"patch"`
	Result object `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
}

type step struct {
	Operation   string `json:"operation"`
	Manager     string `json:"manager"`
	Subresource string `json:"subresource,omitempty"`
	Force       bool   `json:"force,omitempty"`
	Object      object `json:"object"`
	Result      object `json:"result,omitempty"`
	Error       string `json:"error,omitempty"`
}

type applyCase struct {
	Name  string `json:"name"`
	Steps []step `json:"steps"`
}

var scheme = runtime.NewScheme()

func main() {
	openapi := flag.String("openapi", "", "folder with the OpenAPI v3 documents of Kubernetes")
	flag.Parse()
	must(appsv1.AddToScheme(scheme))
	must(corev1.AddToScheme(scheme))
	folder := flag.Arg(0)
	answer(filepath.Join(folder, "strategic.json"), answerStrategic)
	converter := typeConverter(*openapi, "api__v1_openapi.json", "apis__apps__v1_openapi.json")
	answer(filepath.Join(folder, "apply.json"), func(c *applyCase) { answerApply(c, converter) })
}

func answer[T any](path string, one func(*T)) {
	content, err := os.ReadFile(path)
	must(err)
	var cases []T
	must(json.Unmarshal(content, &cases))
	for i := range cases {
		one(&cases[i])
	}
	lines := make([]string, len(cases))
	for i := range cases {
		line, err := json.Marshal(cases[i])
		must(err)
		lines[i] = string(line)
	}
	must(os.WriteFile(path, []byte("[\n"+strings.Join(lines, ",\n")+"\n]\n"), 0o644))
}

func answerStrategic(c *strategicCase) {
	kinds := map[string]any{"Deployment": appsv1.Deployment{}, "Pod": corev1.Pod{}, "Service": corev1.Service{}}
	old, err := json.Marshal(c.Old)
	must(err)
	patch, err := json.Marshal(c.Patch)
	must(err)
	c.Result, c.Error = nil, ""
	result, err := strategicpatch.StrategicMergePatch(old, patch, kinds[c.Kind])
	if err != nil {
		c.Error = err.Error()
		return
	}
	must(json.Unmarshal(result, &c.Result))
}

func answerApply(c *applyCase, converter managedfields.TypeConverter) {
	var live runtime.Object
	for i := range c.Steps {
		s := &c.Steps[i]
		kind := (&unstructured.Unstructured{Object: s.Object}).GroupVersionKind()
		manager, err := managedfields.NewDefaultFieldManager(
			converter, convertor{scheme}, defaulter{}, scheme, kind, kind.GroupVersion(), s.Subresource, nil)
		must(err)
		before := live
		if before == nil {
			before, err = scheme.New(kind)
			must(err)
			before.GetObjectKind().SetGroupVersionKind(kind)
		}
		var after runtime.Object
		if s.Operation == "Apply" {
			after, err = manager.Apply(before, &unstructured.Unstructured{Object: s.Object}, s.Manager, s.Force)
		} else {
			s.Object = toMap(typed(s.Object, kind))
			after, err = manager.Update(before, typed(s.Object, kind), s.Manager)
		}
		s.Result, s.Error = nil, ""
		if err != nil {
			s.Error = err.Error()
			if status, ok := err.(apierrors.APIStatus); ok {
				s.Error = status.Status().Message
			}
			continue
		}
		after.GetObjectKind().SetGroupVersionKind(kind)
		live = after
		s.Result = withoutTimes(toMap(after))
	}
}

// withoutTimes drops when a manager wrote: the library reads the clock of the machine.
func withoutTimes(obj object) object {
	metadata, _ := obj["metadata"].(object)
	entries, _ := metadata["managedFields"].([]any)
	for _, entry := range entries {
		delete(entry.(object), "time")
	}
	return obj
}

func typed(obj object, kind schema.GroupVersionKind) runtime.Object {
	result, err := scheme.New(kind)
	must(err)
	must(runtime.DefaultUnstructuredConverter.FromUnstructured(obj, result))
	return result
}

func toMap(obj runtime.Object) object {
	content, err := json.Marshal(obj)
	must(err)
	var result object
	must(json.Unmarshal(content, &result))
	return result
}

func typeConverter(folder string, names ...string) managedfields.TypeConverter {
	definitions := map[string]*spec.Schema{}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(folder, name))
		must(err)
		var document spec3.OpenAPI
		must(json.Unmarshal(content, &document))
		for key, value := range document.Components.Schemas {
			definitions[key] = value
		}
	}
	converter, err := managedfields.NewTypeConverter(definitions, false)
	must(err)
	return converter
}

// convertor leaves objects in the one version these cases use.
type convertor struct{ *runtime.Scheme }

func (c convertor) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	if given, ok := in.(*unstructured.Unstructured); ok {
		kind := given.GroupVersionKind()
		result, err := c.New(kind)
		if err != nil {
			return nil, err
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(given.Object, result); err != nil {
			return nil, err
		}
		result.GetObjectKind().SetGroupVersionKind(kind)
		return result, nil
	}
	kinds, _, err := c.ObjectKinds(in)
	if err != nil {
		return nil, err
	}
	in.GetObjectKind().SetGroupVersionKind(kinds[0])
	return in, nil
}

func (c convertor) ConvertFieldLabel(schema.GroupVersionKind, string, string) (string, string, error) {
	return "", "", fmt.Errorf("not needed")
}

type defaulter struct{}

func (defaulter) Default(runtime.Object) {}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
