package main

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
)

// write sends typed objects as protobuf, and reads back what the server made of them.
func write(ctx context.Context, config *rest.Config, namespace string, _ []string) error {
	config = rest.CopyConfig(config)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client := kubernetes.NewForConfigOrDie(config)
	for _, step := range []func(context.Context, kubernetes.Interface, string) error{
		maps, deployments, evictions, collections,
	} {
		if err := step(ctx, client, namespace); err != nil {
			return err
		}
	}
	return nil
}

func maps(ctx context.Context, client kubernetes.Interface, namespace string) error {
	api := client.CoreV1().ConfigMaps(namespace)
	made, err := api.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "bytes", Labels: map[string]string{"made": "by-go"}},
		Data:       map[string]string{"word": "grüß"},
		BinaryData: map[string][]byte{"blob": {0, 1, 254, 255}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	say(line{"step": "create", "object": made})

	stale := made.DeepCopy()
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		live, err := api.Get(ctx, "bytes", metav1.GetOptions{})
		if err != nil {
			return err
		}
		live.Data["more"] = "yes"
		_, err = api.Update(ctx, live, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	_, err = api.Update(ctx, stale, metav1.UpdateOptions{})
	say(line{"step": "stale", "conflict": apierrors.IsConflict(err)})

	wanted := applycorev1.ConfigMap("bytes", namespace).WithData(map[string]string{"applied": "1"})
	applied, err := api.Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: "go"})
	if err != nil {
		return err
	}
	say(line{"step": "apply", "object": applied})
	_, err = api.Apply(ctx, wanted.WithData(map[string]string{"word": "hello"}), metav1.ApplyOptions{FieldManager: "go"})
	say(line{"step": "apply conflict", "conflict": apierrors.IsConflict(err)})

	other := types.UID("somebody-else")
	err = api.Delete(ctx, "bytes", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}})
	say(line{"step": "delete another", "conflict": apierrors.IsConflict(err)})
	if err := api.Delete(ctx, "bytes", *metav1.NewPreconditionDeleteOptions(string(made.UID))); err != nil {
		return err
	}
	_, err = api.Get(ctx, "bytes", metav1.GetOptions{})
	say(line{"step": "delete", "gone": apierrors.IsNotFound(err)})
	return nil
}

func deployments(ctx context.Context, client kubernetes.Interface, namespace string) error {
	api := client.AppsV1().Deployments(namespace)
	replicas, surge := int32(0), intstr.FromString("50%")
	labels := map[string]string{"app": "web"}
	made, err := api.Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "web", Image: "nginx:1.27",
					Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80}},
					Resources: corev1.ResourceRequirements{
						Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")},
					},
				}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	say(line{"step": "deployment", "object": made})
	var scale *autoscalingv1.Scale
	// The controller writes the status meanwhile: who updates must be ready to do so again.
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if scale, err = api.GetScale(ctx, "web", metav1.GetOptions{}); err != nil {
			return err
		}
		scale.Spec.Replicas = 1
		scale, err = api.UpdateScale(ctx, "web", scale, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	say(line{"step": "scale", "replicas": scale.Spec.Replicas, "selector": scale.Status.Selector})
	return nil
}

func evictions(ctx context.Context, client kubernetes.Interface, namespace string) error {
	_, err := client.CoreV1().Pods(namespace).Get(ctx, "nobody", metav1.GetOptions{})
	say(line{"step": "missing", "gone": apierrors.IsNotFound(err), "message": err.Error()})
	_, err = client.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "Not A Name"},
	}, metav1.CreateOptions{})
	say(line{"step": "invalid", "invalid": apierrors.IsInvalid(err), "causes": causes(err)})
	return nil
}

func causes(err error) []string {
	fields := []string{}
	if known, ok := err.(apierrors.APIStatus); ok && known.Status().Details != nil {
		for _, cause := range known.Status().Details.Causes {
			fields = append(fields, cause.Field)
		}
	}
	return fields
}

func collections(ctx context.Context, client kubernetes.Interface, namespace string) error {
	api := client.CoreV1().Secrets(namespace)
	for _, name := range []string{"a", "b", "c"} {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"set": "abc"}},
			StringData: map[string]string{"word": name},
		}
		if _, err := api.Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	page, err := api.List(ctx, metav1.ListOptions{LabelSelector: "set=abc", Limit: 2})
	if err != nil {
		return err
	}
	names := []string{}
	for {
		for _, secret := range page.Items {
			names = append(names, secret.Name+"="+string(secret.Data["word"]))
		}
		if page.Continue == "" {
			break
		}
		options := metav1.ListOptions{LabelSelector: "set=abc", Limit: 2, Continue: page.Continue}
		if page, err = api.List(ctx, options); err != nil {
			return err
		}
	}
	say(line{"step": "pages", "names": names})
	if err := api.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "set=abc"}); err != nil {
		return err
	}
	left, err := api.List(ctx, metav1.ListOptions{LabelSelector: "set=abc"})
	if err != nil {
		return err
	}
	say(line{"step": "collection", "left": len(left.Items)})
	return nil
}
