{{ define "shared.name" }}part10-{{ .Chart.Name }}{{ end }}
