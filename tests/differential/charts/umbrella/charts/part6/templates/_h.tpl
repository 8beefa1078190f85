{{ define "shared.name" }}part6-{{ .Chart.Name }}{{ end }}
