{{/* What the controller may do with objects and Secrets of a namespace, or of all. Each right: deploy/rbac.md. */}}
{{- define "unsealer-rules" -}}
- apiGroups: [bitnami.com]
  resources: [sealedsecrets]
  verbs: [get, list, watch]
- apiGroups: [bitnami.com]
  resources: [sealedsecrets/status]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "account-subject" -}}
- kind: ServiceAccount
  name: {{ include "account" . }}
  namespace: {{ include "namespace" . }}
{{- end }}
