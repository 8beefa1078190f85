{{ define "shared.name" }}part8-{{ .Chart.Name }}{{ end }}
