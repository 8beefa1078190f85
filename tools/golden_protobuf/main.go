// Writes protobuf bodies as Go clients send them, each with the JSON of the same object, for the decoder's tests.
//
// Run: go run . ../../tests/golden/protobuf
package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	certificates "k8s.io/api/certificates/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	networking "k8s.io/api/networking/v1"
	node "k8s.io/api/node/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	resource "k8s.io/api/resource/v1"
	scheduling "k8s.io/api/scheduling/v1"
	storage "k8s.io/api/storage/v1"
)

var target string

func main() {
	target = os.Args[1]
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		admissionregistration.AddToScheme, apiextensions.AddToScheme, apps.AddToScheme,
		authentication.AddToScheme, authorization.AddToScheme, autoscalingv1.AddToScheme,
		autoscalingv2.AddToScheme, batch.AddToScheme, certificates.AddToScheme, coordination.AddToScheme,
		core.AddToScheme, discovery.AddToScheme, events.AddToScheme, networking.AddToScheme,
		node.AddToScheme, policy.AddToScheme, rbac.AddToScheme, resource.AddToScheme,
		scheduling.AddToScheme, storage.AddToScheme,
	} {
		must(add(scheme))
	}
	serializer := protobuf.NewSerializer(scheme, scheme)
	for gvk := range scheme.AllKnownTypes() {
		if !isBody(gvk) {
			continue
		}
		object, err := scheme.New(gvk)
		must(err)
		newFiller(gvk.Kind).fill(object)
		write(serializer, gvk, object, fileName(gvk))
	}
	for name, example := range examples() {
		gvk := schema.FromAPIVersionAndKind(example.apiVersion, example.kind)
		write(serializer, gvk, example.object, "example_"+name)
	}
}

// isBody leaves out lists, watch events and what is repeated in every group.
func isBody(gvk schema.GroupVersionKind) bool {
	switch {
	case gvk.Version == runtime.APIVersionInternal, gvk.Kind == "WatchEvent", gvk.Kind == "ConversionReview",
		gvk.Kind == "PodStatusResult",
		gvk.Kind == "RangeAllocation", gvk.Kind == "SerializedReference":
		return false
	case strings.HasSuffix(gvk.Kind, "Options"), gvk.Kind == "Status":
		return gvk.Group == "apps" && gvk.Kind != "GetOptions" && gvk.Kind != "ListOptions"
	}
	return !strings.HasSuffix(gvk.Kind, "List") && !strings.HasPrefix(gvk.Kind, "API")
}

func fileName(gvk schema.GroupVersionKind) string {
	group, _, _ := strings.Cut(gvk.Group, ".")
	if group == "" {
		group = "core"
	}
	return group + "_" + gvk.Version + "_" + gvk.Kind
}

func write(encoder runtime.Encoder, gvk schema.GroupVersionKind, object runtime.Object, name string) {
	object.GetObjectKind().SetGroupVersionKind(gvk)
	body, err := runtime.Encode(encoder, object)
	must(err)
	text, err := json.Marshal(object)
	must(err)
	must(os.WriteFile(filepath.Join(target, name+".pb"), body, 0o644))
	must(os.WriteFile(filepath.Join(target, name+".json"), append(text, '\n'), 0o644))
}

type example struct {
	apiVersion, kind string
	object           runtime.Object
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
