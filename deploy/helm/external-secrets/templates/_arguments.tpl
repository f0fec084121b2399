{{/* The values of upstream's chart as flags of upstream's controller. */}}
{{- define "arguments" -}}
{{- $values := .Values -}}
{{- if $values.leaderElect }}
- --enable-leader-election=true
{{- end }}
{{- with $values.scopedNamespace }}
- --namespace={{ . }}
{{- end }}
{{- $scoped := include "scoped" . }}
{{- range list
  (list "cluster-store" (and $values.processClusterStore (not $scoped)))
  (list "cluster-external-secret" (and $values.processClusterExternalSecret (not $scoped)))
  (list "cluster-push-secret" (and $values.processClusterPushSecret (not $scoped)))
  (list "secret-store" $values.processSecretStore)
  (list "push-secret" $values.processPushSecret)
}}
{{- if not (last .) }}
- --enable-{{ first . }}-reconciler=false
{{- end }}
{{- end }}
{{- with $values.controllerClass }}
- --controller-class={{ . }}
{{- end }}
{{- if $values.extendedMetricLabels }}
- --enable-extended-metric-labels=true
{{- end }}
{{- with $values.concurrent }}
- --concurrent={{ . }}
{{- end }}
{{- if $values.genericTargets.enabled }}
- --unsafe-allow-generic-targets=true
{{- end }}
{{- if $values.restartWorkloads }}
- --restart-workloads=true
{{- end }}
{{- range $key, $value := $values.extraArgs }}
- --{{ $key }}{{ if $value }}={{ $value }}{{ end }}
{{- end }}
- --metrics-addr=:{{ $values.metrics.listen.port }}
- --loglevel={{ $values.log.level }}
- --zap-time-encoding={{ $values.log.timeEncoding }}
{{- if $values.livenessProbe.enabled }}
- --live-addr={{ $values.livenessProbe.spec.address }}:{{ $values.livenessProbe.spec.httpGet.port }}
{{- end }}
{{- if $values.refresh.enabled }}
- --refresh-addr=:{{ $values.refresh.port }}
- --refresh-key-file=/etc/sealops/refresh/{{ $values.refresh.secretKey }}
{{- end }}
{{- if $values.metrics.listen.secure.enabled }}
{{- fail "metrics.listen.secure.enabled: the metrics are served without TLS; limit who reaches them by a NetworkPolicy or a proxy" }}
{{- end }}
{{- end }}
