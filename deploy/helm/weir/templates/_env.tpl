{{/* The settings of `weir serve`. */}}
{{- define "weir.env" -}}
{{- $listeners := .Values.listeners -}}
- name: WEIR_DATABASE_URL_FILE
  value: /database/url
- name: WEIR_LISTEN
  value: {{ printf "%s:%v" (ternary "0.0.0.0" "127.0.0.1" $listeners.sdk.enabled) $listeners.sdk.port }}
- name: WEIR_GRPC_LISTEN
  value: {{ ternary (printf "0.0.0.0:%v" $listeners.grpc.port) "off" $listeners.grpc.enabled | quote }}
- name: WEIR_XRAY_LISTEN
  value: {{ ternary (printf "0.0.0.0:%v" $listeners.xray.port) "off" $listeners.xray.enabled | quote }}
{{- if $listeners.admin.enabled }}
# Probes come from outside the pod, so the admin listener is on the pod's address, by which they ask
# it: an IP address is answered, a name only if WEIR_ADMIN_HOST has it.
- name: WEIR_ADMIN_LISTEN
  value: 0.0.0.0:{{ $listeners.admin.port }}
{{- if not (include "weir.speaksTls" (list . "admin")) }}
# Tokens are sent in the clear, so the NetworkPolicy keeps other pods away.
- name: WEIR_ADMIN_WITHOUT_TLS
  value: 'true'
{{- end }}
{{- else }}
- name: WEIR_ADMIN_LISTEN
  value: 127.0.0.1:{{ $listeners.admin.port }}
{{- end }}
{{- if include "weir.observes" . }}
- name: WEIR_OBSERVE_LISTEN
  value: 0.0.0.0:{{ .Values.metrics.port }}
{{- end }}
{{- $hosts := $listeners.admin.hosts -}}
{{- if .Values.ingress.admin.enabled -}}
{{- $hosts = append $hosts .Values.ingress.admin.host -}}
{{- end -}}
{{- with $hosts | uniq }}
- name: WEIR_ADMIN_HOST
  value: {{ join "," . | quote }}
{{- end }}
# For `weir health`.
- name: WEIR_ADMIN_URL
  value: {{ printf "%s://127.0.0.1:%v" (ternary "https" "http" (eq "true" (include "weir.speaksTls" (list . "admin")))) $listeners.admin.port }}
{{- if .Values.tls.secret }}
- name: WEIR_TLS_CERT
  value: /tls/tls.crt
- name: WEIR_TLS_KEY
  value: /tls/tls.key
- name: WEIR_TLS_LISTENERS
  value: {{ join "," .Values.tls.listeners | quote }}
{{- end }}
{{- with .Values.tls.clients }}
{{- if .sdk.secret }}
- name: WEIR_CLIENT_CA
  value: /clients/sdk/ca.crt
{{- end }}
{{- if .grpc.secret }}
- name: WEIR_GRPC_CLIENT_CA
  value: /clients/grpc/ca.crt
{{- end }}
{{- end }}
{{- if .Values.access.bootstrapTokenSecret }}
- name: WEIR_BOOTSTRAP_TOKEN_FILE
  value: /bootstrap/token
{{- end }}
{{- with .Values.access.oidc }}
{{- if .issuer }}
- name: WEIR_OIDC_ISSUER
  value: {{ .issuer | quote }}
{{- with .clientId }}
- name: WEIR_OIDC_CLIENT_ID
  value: {{ . | quote }}
{{- end }}
{{- with .publicUrl }}
- name: WEIR_PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
{{- if .clientSecret }}
- name: WEIR_OIDC_CLIENT_SECRET_FILE
  value: /oidc/secret
{{- end }}
{{- with .audience }}
- name: WEIR_OIDC_AUDIENCE
  value: {{ . | quote }}
{{- end }}
{{- with .scopes }}
- name: WEIR_OIDC_SCOPE
  value: {{ join "," . | quote }}
{{- end }}
- name: WEIR_OIDC_GROUPS_CLAIM
  value: {{ .groupsClaim | quote }}
{{- $roles := list -}}
{{- range $group, $role := .roles -}}
{{- $roles = append $roles (printf "%s=%s" $group $role) -}}
{{- end }}
- name: WEIR_OIDC_ROLE
  value: {{ join "," $roles | quote }}
{{- end }}
{{- end }}
{{- if .Values.access.requireAgentToken }}
- name: WEIR_REQUIRE_AGENT_TOKEN
  value: 'true'
{{- end }}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}
