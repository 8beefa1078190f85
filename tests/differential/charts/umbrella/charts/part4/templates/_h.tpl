{{ define "shared.name" }}part4-{{ .Chart.Name }}{{ end }}
