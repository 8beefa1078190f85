{{ define "shared.name" }}part2-{{ .Chart.Name }}{{ end }}
