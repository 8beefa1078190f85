{{ define "shared.name" }}part11-{{ .Chart.Name }}{{ end }}
