package main

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// inform watches pods and deployments with types, deployments by their metadata alone, and, if an argument names one
// (group/version/resource), a custom resource as unstructured data.
func inform(ctx context.Context, config *rest.Config, namespace string, custom []string) error {
	typed := informers.NewSharedInformerFactoryWithOptions(
		kubernetes.NewForConfigOrDie(config), 0, informers.WithNamespace(namespace))
	loose := dynamicinformer.NewFilteredDynamicSharedInformerFactory(
		dynamic.NewForConfigOrDie(config), 0, namespace, nil)
	partial := metadatainformer.NewFilteredSharedInformerFactory(
		metadata.NewForConfigOrDie(config), 0, namespace, nil)

	watched := map[string]cache.SharedIndexInformer{
		"pods":        typed.Core().V1().Pods().Informer(),
		"deployments": typed.Apps().V1().Deployments().Informer(),
		"metadata":    partial.ForResource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}).Informer(),
	}
	for _, name := range custom {
		parts := strings.Split(name, "/")
		if len(parts) != 3 {
			return fmt.Errorf("%q is not group/version/resource", name)
		}
		resource := schema.GroupVersionResource{Group: parts[0], Version: parts[1], Resource: parts[2]}
		watched["custom"] = loose.ForResource(resource).Informer()
	}
	for name, informer := range watched {
		if _, err := informer.AddEventHandler(teller(name)); err != nil {
			return err
		}
	}
	typed.Start(ctx.Done())
	loose.Start(ctx.Done())
	partial.Start(ctx.Done())
	for name, informer := range watched {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return fmt.Errorf("%s: stopped before it had synced", name)
		}
		say(line{"informer": name, "event": "synced", "count": len(informer.GetStore().List())})
	}
	<-ctx.Done()
	return nil
}

func teller(informer string) cache.ResourceEventHandlerDetailedFuncs {
	tell := func(event string, obj any, initial bool) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			event, obj = "lost", gone.Obj
		}
		about, err := meta.Accessor(obj)
		if err != nil {
			panic(err)
		}
		say(line{"informer": informer, "event": event, "name": about.GetName(), "initial": initial,
			"version": about.GetResourceVersion(), "labels": about.GetLabels(), "type": fmt.Sprintf("%T", obj)})
	}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(obj any, initial bool) { tell("add", obj, initial) },
		UpdateFunc: func(_, obj any) { tell("update", obj, false) },
		DeleteFunc: func(obj any) { tell("delete", obj, false) },
	}
}
