{{ define "shared.name" }}part0-{{ .Chart.Name }}{{ end }}
