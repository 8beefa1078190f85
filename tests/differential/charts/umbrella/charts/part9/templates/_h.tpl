{{ define "shared.name" }}part9-{{ .Chart.Name }}{{ end }}
