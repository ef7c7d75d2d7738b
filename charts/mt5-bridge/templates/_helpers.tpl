{{/* The only place where names, labels and images are put together. */}}

{{- define "mt5.fullname" -}}
{{- $name := default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "%q cannot begin the name of a Service: letters, digits and '-', and a letter first. Set fullnameOverride." $name) -}}
{{- end -}}
{{- $name -}}
{{- end }}

{{/* Fails where another release has an operator: the two would take turns in leading, by one Lease,
     and each would move all accounts to its own images. */}}
{{- define "mt5.alone" -}}
{{- range (lookup "apps/v1" "Deployment" .Release.Namespace "").items -}}
{{- $labels := default dict .metadata.labels -}}
{{- if and (eq (get $labels "app.kubernetes.io/name") "mt5-bridge") (eq (get $labels "app.kubernetes.io/component") "operator") (ne (get $labels "app.kubernetes.io/instance") $.Release.Name) -}}
{{- fail (printf "release %q is installed in namespace %q: one installation per namespace" (get $labels "app.kubernetes.io/instance") $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "mt5.name" -}}
{{ include "mt5.fullname" .root }}-{{ .part }}
{{- end }}

{{- define "mt5.selector" -}}
app.kubernetes.io/name: mt5-bridge
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{/* What the operator finds the routers' pods by. */}}
{{- define "mt5.routers" -}}
{{- $words := list -}}
{{- range $key, $value := include "mt5.selector" (dict "root" . "part" "router") | fromYaml -}}
{{- $words = append $words (printf "%s=%s" $key $value) -}}
{{- end -}}
{{ join "," $words }}
{{- end }}

{{- define "mt5.labels" -}}
{{ include "mt5.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mt5-bridge
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "mt5.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* The restricted Pod Security Standard, and no root file system to write to. */}}
{{- define "mt5.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "mt5.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "mt5.placement" -}}
{{- with .values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Replicas apart: on other nodes, and in other zones where there are zones. */}}
{{- define "mt5.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector: {matchLabels: {{ include "mt5.selector" $ | fromYaml | toJson }}}
{{- end }}
{{- end }}

{{- define "mt5.redis.url" -}}
{{- if .Values.redis.bundled -}}
redis://{{ include "mt5.name" (dict "root" . "part" "redis") }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:6379/0
{{- else -}}
{{ .Values.externalRedis.url }}
{{- end -}}
{{- end }}

{{/* Secret and key of the password as JSON; {} when there is no password. */}}
{{- define "mt5.redis.secret" -}}
{{- if .Values.redis.bundled -}}
{{ dict "name" (default (include "mt5.name" (dict "root" . "part" "redis")) .Values.redis.existingSecret) "key" (ternary .Values.redis.existingSecretKey "password" (ne .Values.redis.existingSecret "")) | toJson }}
{{- else if .Values.externalRedis.existingSecret -}}
{{ dict "name" .Values.externalRedis.existingSecret "key" .Values.externalRedis.existingSecretKey | toJson }}
{{- else -}}
{}
{{- end -}}
{{- end }}

{{- define "mt5.redis.caConfigMap" -}}
{{- if not .Values.redis.bundled -}}{{ .Values.externalRedis.caConfigMap }}{{- end -}}
{{- end }}

{{/* Volumes and mounts by which operator and router learn password and authorities: files, so that
     nothing secret is in an environment. */}}
{{- define "mt5.redis.volumes" -}}
{{- $secret := include "mt5.redis.secret" . | fromJson -}}
{{- if $secret }}
- name: redis-password
  secret:
    secretName: {{ $secret.name }}
    items: [{key: {{ $secret.key }}, path: password}]
    defaultMode: 0440
{{- end }}
{{- with include "mt5.redis.caConfigMap" . }}
- name: redis-ca
  configMap: {name: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end }}

{{- define "mt5.redis.mounts" -}}
{{- if include "mt5.redis.secret" . | fromJson }}
- {name: redis-password, mountPath: /run/mt5/redis, readOnly: true}
{{- end }}
{{- if include "mt5.redis.caConfigMap" . }}
- {name: redis-ca, mountPath: /run/mt5/redis-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "mt5.env" -}}
- name: {{ .name }}
  value: {{ .value | toString | quote }}
{{- end }}

{{- define "mt5.ownNamespace" -}}
namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ .Release.Namespace }}}}
{{- end }}
