package main

import (
	"time"

	apps "k8s.io/api/apps/v1"
	authentication "k8s.io/api/authentication/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// examples are objects as people write them: mostly empty, with zeros that matter.
func examples() map[string]example {
	none, yes, no := int32(0), true, false
	grace := int64(0)
	background := metav1.DeletePropagationBackground
	path, prefix := "/", networking.PathTypePrefix
	moment := metav1.NewMicroTime(time.Unix(1_700_000_000, 7_000).UTC())
	named := metav1.ObjectMeta{Name: "web", Namespace: "shop", Labels: map[string]string{"app": "web", "empty": ""}}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	template := core.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       podSpec(),
	}
	return map[string]example{
		"empty_pod":        {"v1", "Pod", &core.Pod{}},
		"empty_deployment": {"apps/v1", "Deployment", &apps.Deployment{}},
		"empty_service":    {"v1", "Service", &core.Service{}},
		"empty_role":       {"rbac.authorization.k8s.io/v1", "Role", &rbac.Role{}},
		"empty_crd":        {"apiextensions.k8s.io/v1", "CustomResourceDefinition", &apiextensions.CustomResourceDefinition{}},
		"empty_options":    {"v1", "DeleteOptions", &metav1.DeleteOptions{}},
		"pod":              {"v1", "Pod", &core.Pod{ObjectMeta: named, Spec: podSpec()}},
		"deployment": {"apps/v1", "Deployment", &apps.Deployment{
			ObjectMeta: named,
			Spec:       apps.DeploymentSpec{Replicas: &none, Selector: selector, Template: template},
		}},
		"secret": {"v1", "Secret", &core.Secret{
			ObjectMeta: named,
			Data:       map[string][]byte{"empty": {}, "binary": {0, 255, 128}},
			StringData: map[string]string{"text": "grüße"},
			Immutable:  &no,
		}},
		"service": {"v1", "Service", &core.Service{
			ObjectMeta: named,
			Spec: core.ServiceSpec{Selector: selector.MatchLabels, Ports: []core.ServicePort{
				{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}, {Name: "plain", Port: 81},
			}},
		}},
		"lease": {"coordination.k8s.io/v1", "Lease", &coordination.Lease{
			ObjectMeta: named, Spec: coordination.LeaseSpec{RenewTime: &moment, LeaseTransitions: &none},
		}},
		"ingress": {"networking.k8s.io/v1", "Ingress", &networking.Ingress{
			ObjectMeta: named,
			Spec: networking.IngressSpec{Rules: []networking.IngressRule{{
				Host: "shop.test",
				IngressRuleValue: networking.IngressRuleValue{HTTP: &networking.HTTPIngressRuleValue{
					Paths: []networking.HTTPIngressPath{{Path: path, PathType: &prefix, Backend: networking.IngressBackend{
						Service: &networking.IngressServiceBackend{Name: "web", Port: networking.ServiceBackendPort{Number: 80}},
					}}},
				}},
			}}},
		}},
		"autoscaler": {"autoscaling/v2", "HorizontalPodAutoscaler", &autoscaling.HorizontalPodAutoscaler{
			ObjectMeta: named,
			Spec: autoscaling.HorizontalPodAutoscalerSpec{MinReplicas: &none, MaxReplicas: 3, Metrics: []autoscaling.MetricSpec{{
				Type: "Resource", Resource: &autoscaling.ResourceMetricSource{Name: "cpu"},
			}}},
		}},
		"job": {"batch/v1", "Job", &batch.Job{
			ObjectMeta: named, Spec: batch.JobSpec{BackoffLimit: &none, Suspend: &no, Template: template},
		}},
		"budget": {"policy/v1", "PodDisruptionBudget", &policy.PodDisruptionBudget{
			ObjectMeta: named,
			Spec:       policy.PodDisruptionBudgetSpec{MinAvailable: &intstr.IntOrString{}, Selector: selector},
		}},
		"crd": {"apiextensions.k8s.io/v1", "CustomResourceDefinition", &apiextensions.CustomResourceDefinition{
			ObjectMeta: metav1.ObjectMeta{Name: "boats.sea.test"},
			Spec: apiextensions.CustomResourceDefinitionSpec{
				Group: "sea.test", Scope: "Namespaced",
				Names: apiextensions.CustomResourceDefinitionNames{Plural: "boats", Kind: "Boat"},
				Versions: []apiextensions.CustomResourceDefinitionVersion{{
					Name: "v1", Served: true, Storage: true,
					Schema: &apiextensions.CustomResourceValidation{OpenAPIV3Schema: &apiextensions.JSONSchemaProps{
						Type: "object",
						Properties: map[string]apiextensions.JSONSchemaProps{
							"size": {Type: "string", Enum: []apiextensions.JSON{{Raw: []byte(`"big"`)}, {Raw: []byte(`null`)}},
								Default: &apiextensions.JSON{Raw: []byte(`"big"`)}},
							"crew": {Type: "array", Items: &apiextensions.JSONSchemaPropsOrArray{
								Schema: &apiextensions.JSONSchemaProps{Type: "string"}}},
							"tags": {Type: "object", AdditionalProperties: &apiextensions.JSONSchemaPropsOrBool{
								Allows: true, Schema: &apiextensions.JSONSchemaProps{Type: "string"}}},
							"none": {Type: "object", AdditionalProperties: &apiextensions.JSONSchemaPropsOrBool{},
								XPreserveUnknownFields: &yes},
						},
					}},
					Subresources: &apiextensions.CustomResourceSubresources{
						Status: &apiextensions.CustomResourceSubresourceStatus{},
					},
				}},
			},
		}},
		"delete_options": {"apps/v1", "DeleteOptions", &metav1.DeleteOptions{
			GracePeriodSeconds: &grace, PropagationPolicy: &background,
		}},
		"token_request": {"authentication.k8s.io/v1", "TokenRequest", &authentication.TokenRequest{
			Spec: authentication.TokenRequestSpec{Audiences: []string{"api"}},
		}},
	}
}

func podSpec() core.PodSpec {
	mode, yes := int32(0o644), true
	user := int64(0)
	return core.PodSpec{
		Volumes: []core.Volume{
			{Name: "scratch", VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}},
			{Name: "config", VolumeSource: core.VolumeSource{ConfigMap: &core.ConfigMapVolumeSource{
				LocalObjectReference: core.LocalObjectReference{Name: "web"}, DefaultMode: &mode, Optional: &yes}}},
			{Name: "claim", VolumeSource: core.VolumeSource{PersistentVolumeClaim: &core.PersistentVolumeClaimVolumeSource{
				ClaimName: "web"}}},
			{Name: "all", VolumeSource: core.VolumeSource{Projected: &core.ProjectedVolumeSource{
				Sources: []core.VolumeProjection{
					{ServiceAccountToken: &core.ServiceAccountTokenProjection{Path: "token"}},
					{DownwardAPI: &core.DownwardAPIProjection{Items: []core.DownwardAPIVolumeFile{{Path: "cpu",
						ResourceFieldRef: &core.ResourceFieldSelector{Resource: "limits.cpu"}}}}},
				}}}},
		},
		Containers: []core.Container{{
			Name: "web", Image: "web:1", Args: []string{"", "-v"},
			Env: []core.EnvVar{{Name: "EMPTY"}, {Name: "FROM", ValueFrom: &core.EnvVarSource{
				FieldRef: &core.ObjectFieldSelector{FieldPath: "metadata.name"}}}},
			Ports: []core.ContainerPort{{ContainerPort: 80}},
			ReadinessProbe: &core.Probe{PeriodSeconds: 5, ProbeHandler: core.ProbeHandler{
				HTTPGet: &core.HTTPGetAction{Path: "/", Port: intstr.FromInt32(80)}}},
			Resources: core.ResourceRequirements{Requests: core.ResourceList{
				"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")}},
			SecurityContext: &core.SecurityContext{RunAsUser: &user},
		}},
		EphemeralContainers: []core.EphemeralContainer{{TargetContainerName: "web",
			EphemeralContainerCommon: core.EphemeralContainerCommon{Name: "debug", Image: "busybox"}}},
		SecurityContext: &core.PodSecurityContext{SupplementalGroups: []int64{0, 300, -1}},
	}
}
