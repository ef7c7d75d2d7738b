{{/* The operator's settings (MT5_OPERATOR_*) from values; what is empty keeps the operator's own default. */}}
{{- define "mt5.operator.env" -}}
{{- $accounts := .Values.accounts -}}
{{- $capacity := .Values.capacity -}}
{{- $secret := include "mt5.redis.secret" . | fromJson -}}
{{- $agent := dict -}}
{{- if $accounts.simulator.sharedBroker -}}
{{- $broker := include "mt5.name" (dict "root" . "part" "simulated-broker") -}}
{{- $agent = dict "MT5_SIMULATOR_BROKER" (printf "%s.%s.svc.%s:9700" $broker .Release.Namespace .Values.clusterDomain) -}}
{{- end -}}
{{- $always := list
  (list "LOG_LEVEL" .Values.operator.logLevel)
  (list "NAMESPACES" (toJson .Values.operator.namespaces))
  (list "ROUTE_SHARDS" .Values.routes.shards)
  (list "ROUTER_SELECTOR" (include "mt5.routers" .))
  (list "SIDECAR_IMAGE" (include "mt5.image" (dict "root" . "image" $accounts.images.sidecar)))
  (list "SIDECAR_IMAGE_WINDOWS" (include "mt5.image" (dict "root" . "image" $accounts.images.sidecarWindows)))
  (list "TERMINAL_IMAGE_LINUX" (include "mt5.image" (dict "root" . "image" $accounts.images.terminalLinux)))
  (list "TERMINAL_IMAGE_WINDOWS" (include "mt5.image" (dict "root" . "image" $accounts.images.terminalWindows)))
  (list "IMAGE_PULL_POLICY" $accounts.images.pullPolicy)
  (list "LINUX_ACCOUNTS_PER_NODE" (int $capacity.accountsPerNode.linux))
  (list "WINDOWS_ACCOUNTS_PER_NODE" (int $capacity.accountsPerNode.windows))
  (list "ACCOUNTS_PER_NAMESPACE" (int $capacity.accountsPerNamespace))
  (list "PRIORITY_CLASS_STANDARD" $capacity.priorityClasses.standard)
  (list "PRIORITY_CLASS_VIP" $capacity.priorityClasses.vip)
  (list "PRIORITY_CLASS_PLACEHOLDER" (ternary $capacity.priorityClasses.placeholder "" $capacity.warm.enabled))
  (list "WARM_LINUX" (int $capacity.warm.linux))
  (list "WARM_WINDOWS" (int $capacity.warm.windows))
  (list "WARM_PERCENT" $capacity.warm.percent)
  (list "WARM_MAX" (int $capacity.warm.max))
-}}
{{- $pull := list }}{{ range .Values.imagePullSecrets }}{{ $pull = append $pull .name }}{{ end }}
{{- $optional := list
  (list "IMAGE_PULL_SECRETS" $pull)
  (list "SIDECAR_ENV" $accounts.sidecar.env)
  (list "SIDECAR_SETTINGS" $accounts.sidecar.settings)
  (list "AGENT_ENV" (merge $agent $accounts.agent.env))
  (list "SIDECAR_REQUESTS" $accounts.sidecar.requests)
  (list "SIDECAR_LIMITS" $accounts.sidecar.limits)
  (list "SIMULATOR_IN_TERMINAL_IMAGE" $accounts.simulator.inTerminalImage)
  (list "SIMULATOR_REQUESTS" $accounts.simulator.requests)
  (list "SIMULATOR_LIMITS" $accounts.simulator.limits)
  (list "LINUX_REQUESTS" $accounts.linux.requests)
  (list "LINUX_LIMITS" $accounts.linux.limits)
  (list "LINUX_NODE_SELECTOR" $accounts.linux.nodeSelector)
  (list "LINUX_TOLERATIONS" $accounts.linux.tolerations)
  (list "WINDOWS_REQUESTS" $accounts.windows.requests)
  (list "WINDOWS_LIMITS" $accounts.windows.limits)
  (list "WINDOWS_NODE_SELECTOR" $accounts.windows.nodeSelector)
  (list "WINDOWS_TOLERATIONS" $accounts.windows.tolerations)
  (list "WARM_SCHEDULE" $capacity.warm.schedule)
  (list "ACCOUNTS_PER_NAMESPACE_OF" $capacity.accountsPerNamespaceOf)
-}}
{{- range $always }}
{{ include "mt5.env" (dict "name" (printf "MT5_OPERATOR_%s" (index . 0)) "value" (index . 1)) }}
{{- end }}
{{- range $optional }}
{{- if index . 1 }}
{{ include "mt5.env" (dict "name" (printf "MT5_OPERATOR_%s" (index . 0)) "value" (toJson (index . 1))) }}
{{- end }}
{{- end }}
{{- with include "mt5.redis.url" . }}
{{ include "mt5.env" (dict "name" "MT5_OPERATOR_REDIS_URL" "value" .) }}
{{- end }}
{{- if $secret }}
{{ include "mt5.env" (dict "name" "MT5_OPERATOR_REDIS_PASSWORD_FILE" "value" "/run/mt5/redis/password") }}
{{- end }}
{{- if include "mt5.redis.caConfigMap" . }}
{{ include "mt5.env" (dict "name" "MT5_OPERATOR_REDIS_CA_FILE" "value" "/run/mt5/redis-ca/ca.crt") }}
{{- end }}
{{- end }}

{{/* operator.extraEnv, in which nothing may stand that is said elsewhere: of two entries of one name
     Kubernetes refuses both, or takes either. */}}
{{- define "mt5.operator.extraEnv" -}}
{{- $said := list "MT5_OPERATOR_NAMESPACE" "MT5_OPERATOR_POD_NAME" "MT5_OPERATOR_PLACEHOLDER_OWNER" "MT5_OPERATOR_SHARD" "MT5_OPERATOR_SHARDS" -}}
{{- if gt (int .Values.operator.shards) 1 }}{{ $said = append $said "MT5_OPERATOR_BROKER_DRY_RUN" }}{{ end -}}
{{- range include "mt5.operator.env" . | fromYamlArray }}{{ $said = append $said .name }}{{ end -}}
{{- range .Values.operator.extraEnv }}
{{- if has .name $said -}}
{{- fail (printf "operator.extraEnv: %s is given already, by the chart itself or by another value" .name) -}}
{{- end }}
{{- $said = append $said .name }}
{{ include "mt5.env" . }}
{{- end }}
{{- end }}
