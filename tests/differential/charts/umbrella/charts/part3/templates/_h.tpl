{{ define "shared.name" }}part3-{{ .Chart.Name }}{{ end }}
