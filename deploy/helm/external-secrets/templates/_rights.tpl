{{/* What the controller may do in a namespace, or in all. Each right: deploy/rbac.md. */}}
{{- define "rules" -}}
- apiGroups: [external-secrets.io]
  resources: [externalsecrets, pushsecrets]
  verbs: [get, list, watch, patch, create, update, delete]
- apiGroups: [external-secrets.io]
  resources: [secretstores]
  verbs: [get, list, watch, patch]
- apiGroups: [external-secrets.io]
  resources: [externalsecrets/status, secretstores/status]
  verbs: [patch, update]
- apiGroups: [external-secrets.io]
  resources: [pushsecrets/status]
  verbs: [update]
{{- if .Values.openshiftFinalizers }}
- apiGroups: [external-secrets.io]
  resources: [externalsecrets/finalizers, pushsecrets/finalizers]
  verbs: [update]
{{- end }}
- apiGroups: [generators.external-secrets.io]
  resources: ["*"]
  verbs: [get]
# What generators leave behind.
- apiGroups: [generators.external-secrets.io]
  resources: [generatorstates]
  verbs: [list, watch, create, patch, delete]
{{- if .Values.genericTargets.enabled }}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, update, delete]
{{- range .Values.genericTargets.resources }}
- apiGroups: [{{ .apiGroup | quote }}]
  resources: {{ toJson .resources }}
  verbs: {{ toJson .verbs }}
{{- end }}
{{- end }}
{{- if .Values.restartWorkloads }}
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get, list, watch, patch]
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [get, list, watch, patch]
{{- end }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, delete]
- apiGroups: [""]
  resources: [configmaps, serviceaccounts]
  verbs: [get, list, watch]
{{- if .Values.rbac.serviceAccountTokenCreate }}
- apiGroups: [""]
  resources: [serviceaccounts/token]
  verbs: [create]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* What it may do beside that with the kinds that have no namespace. */}}
{{- define "cluster-rules" -}}
- apiGroups: [external-secrets.io]
  resources: [clustersecretstores, clusterexternalsecrets]
  verbs: [get, list, watch, patch]
- apiGroups: [external-secrets.io]
  resources: [clusterpushsecrets]
  verbs: [get, list, watch]
- apiGroups: [external-secrets.io]
  resources: [clustersecretstores/status, clusterexternalsecrets/status, clusterpushsecrets/status]
  verbs: [patch, update]
{{- if .Values.openshiftFinalizers }}
- apiGroups: [external-secrets.io]
  resources: [clusterexternalsecrets/finalizers, clusterpushsecrets/finalizers]
  verbs: [update]
{{- end }}
# patch: the finalizer of a namespace that a ClusterExternalSecret selects.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch, patch]
{{- end }}

{{- define "subject" -}}
- kind: ServiceAccount
  name: {{ include "account" . }}
  namespace: {{ include "namespace" . }}
{{- end }}
