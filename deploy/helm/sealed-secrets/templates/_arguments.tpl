{{/* The values of upstream's chart as flags of upstream's controller; one row per value. */}}
{{- define "arguments" -}}
{{- $values := .Values -}}
- --update-status={{ $values.updateStatus }}
{{- if $values.skipRecreate }}
- --skip-recreate
{{- end }}
{{- if $values.watchForSecrets }}
- --watch-for-secrets
{{- end }}
{{- if ne (toString $values.logInfoStdout) "" }}
- --log-info-stdout={{ $values.logInfoStdout }}
{{- end }}
{{- $plain := list
  (list "key-prefix" $values.secretName)
  (list "key-renew-period" $values.keyrenewperiod)
  (list "key-ttl" $values.keyttl)
  (list "key-cutoff-time" $values.keycutofftime)
  (list "rate-limit" $values.rateLimit)
  (list "rate-limit-burst" $values.rateLimitBurst)
  (list "additional-namespaces" (join "," $values.additionalNamespaces))
  (list "privatekey-annotations" (include "pairs" $values.privateKeyAnnotations))
  (list "privatekey-labels" (include "pairs" $values.privateKeyLabels))
  (list "log-level" $values.logLevel)
  (list "log-format" $values.logFormat)
  (list "max-unseal-retries" $values.maxRetries)
  (list "kubeclient-qps" $values.kubeClientQPS)
  (list "kubeclient-burst" $values.kubeClientBurst)
  (list "listen-addr" (printf ":%v" $values.containerPorts.http))
  (list "listen-metrics-addr" (printf ":%v" $values.containerPorts.metrics))
}}
{{- range $plain }}
{{- if ne (toString (last .)) "" }}
- --{{ first . }}
- {{ toString (last .) | quote }}
{{- end }}
{{- end }}
{{- end }}
