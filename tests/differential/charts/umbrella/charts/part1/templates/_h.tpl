{{ define "shared.name" }}part1-{{ .Chart.Name }}{{ end }}
