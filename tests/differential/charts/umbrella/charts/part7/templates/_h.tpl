{{ define "shared.name" }}part7-{{ .Chart.Name }}{{ end }}
