{{- define "ai-testops.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "ai-testops.labels" -}}
app.kubernetes.io/part-of: ai-testops
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ai-testops.secret" -}}
{{- if .Values.existingSecret -}}
{{- .Values.existingSecret -}}
{{- else -}}
{{- include "ai-testops.name" . }}-secrets
{{- end -}}
{{- end }}

{{/* One of our own containers may do nothing but its work. */}}
{{- define "ai-testops.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "ai-testops.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}

{{/* Where the settings come from; `optional` for a hook that runs before they exist. */}}
{{- define "ai-testops.environment" -}}
envFrom:
  - configMapRef:
      name: {{ include "ai-testops.name" .root }}-config
      optional: {{ .optional }}
  - secretRef:
      name: {{ include "ai-testops.secret" .root }}
      optional: {{ .optional }}
env:
  - name: PGPASSWORD
    valueFrom:
      secretKeyRef:
        name: {{ include "ai-testops.secret" .root }}
        key: POSTGRES_PASSWORD
        optional: {{ .optional }}
{{- end }}

{{- define "ai-testops.checksums" -}}
checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
checksum/secret: {{ toJson .Values.sealedSecret.encryptedData | sha256sum }}
{{- end }}
