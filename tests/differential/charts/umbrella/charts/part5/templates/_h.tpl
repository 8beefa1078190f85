{{ define "shared.name" }}part5-{{ .Chart.Name }}{{ end }}
