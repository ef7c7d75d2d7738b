{{/* What the operator may do where accounts are. */}}
{{- define "mt5.operator.rules" -}}
- {apiGroups: [mt5bridge.io], resources: [mt5accounts], verbs: [get, list, watch, patch]}
- {apiGroups: [mt5bridge.io], resources: [mt5accounts/status], verbs: [patch]}
# To own objects with blockOwnerDeletion.
- {apiGroups: [mt5bridge.io], resources: [mt5accounts/finalizers], verbs: [update]}
# Server-side apply of a new object needs create and patch.
- {apiGroups: [apps], resources: [statefulsets], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch, patch, delete]}
# Other resources for a pod that runs (Kubernetes 1.33 and newer).
- {apiGroups: [""], resources: [pods/resize], verbs: [patch]}
- {apiGroups: [""], resources: [configmaps], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [get, create, patch, delete]}
# Only one at a time and by name: does the account's Secret have its key.
- {apiGroups: [""], resources: [secrets], verbs: [get]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}
{{- end }}

{{/* The Leases, one for each shard. */}}
{{- define "mt5.operator.leases" -}}
{{- $shards := int .Values.operator.shards -}}
{{- $names := list -}}
{{- range $shard := until $shards -}}
{{- $names = append $names (ternary (printf "mt5-bridge-operator-%d" $shard) "mt5-bridge-operator" (gt $shards 1)) -}}
{{- end -}}
{{ toJson $names }}
{{- end }}
