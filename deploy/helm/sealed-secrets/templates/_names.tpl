{{/* Names and labels are those of the upstream chart: a running release is taken over, selectors included. */}}

{{- define "name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "namespace" -}}
{{ default .Release.Namespace .Values.namespace }}
{{- end }}

{{- define "account" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "image" -}}
{{- $image := .Values.image -}}
{{ with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end }}

{{- define "selector" -}}
app.kubernetes.io/name: {{ include "name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* One value that may hold a template itself, as YAML. */}}
{{- define "rendered" -}}
{{- $text := .value -}}
{{- if not (kindIs "string" $text) }}{{ $text = toYaml $text }}{{ end -}}
{{ tpl $text .context }}
{{- end }}

{{/*
The metadata of one object: context, name; optional: namespace ("" for none), labels and annotations. The common ones
take precedence, as in the upstream chart.
*/}}
{{- define "metadata" -}}
{{- $context := .context -}}
{{- $labels := fromYaml (include "selector" $context) -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_") -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $context.Release.Service -}}
{{- $_ := set $labels "app.kubernetes.io/version" $context.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" $context.Chart.Name -}}
{{- range $more := list .labels $context.Values.commonLabels }}
{{- with $more }}{{ $labels = mergeOverwrite $labels (fromYaml (include "rendered" (dict "value" . "context" $context))) }}{{ end }}
{{- end -}}
{{- $annotations := dict -}}
{{- range $more := list .annotations $context.Values.commonAnnotations }}
{{- with $more }}{{ $annotations = mergeOverwrite $annotations (fromYaml (include "rendered" (dict "value" . "context" $context))) }}{{ end }}
{{- end -}}
name: {{ .name }}
{{- if not (hasKey . "namespace") }}
namespace: {{ include "namespace" $context }}
{{- else if .namespace }}
namespace: {{ .namespace }}
{{- end }}
labels: {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* a=b,c=d: the form of --privatekey-labels and --privatekey-annotations. */}}
{{- define "pairs" -}}
{{- $pairs := list -}}
{{- range $key, $value := . }}{{ $pairs = append $pairs (printf "%s=%v" $key $value) }}{{ end -}}
{{ join "," $pairs }}
{{- end }}

{{/* A probe: its values without `enabled`, and how it asks. */}}
{{- define "probe" -}}
{{- toYaml (omit .values "enabled") }}
httpGet:
  path: {{ .path }}
  port: http
{{- end }}
