{{- define "weir.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of everything: the release's, which says `weir` only once. Ends are left for suffixes. */}}
{{- define "weir.fullname" -}}
{{- $name := include "weir.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Prometheus' job: the rules look for `weir` and `weir-…`. */}}
{{- define "weir.job" -}}
{{- $name := include "weir.fullname" . -}}
{{- if or (eq $name "weir") (hasPrefix "weir-" $name) -}}{{ $name }}{{- else -}}weir-{{ $name }}{{- end -}}
{{- end -}}

{{/* By these labels everything finds its pods; they never change. */}}
{{- define "weir.selector" -}}
app.kubernetes.io/name: {{ include "weir.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "weir.about" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
{{ include "weir.about" . }}
{{- end -}}

{{/* Edges have another name, so that no service of Weir selects them. */}}
{{- define "weir.edge.selector" -}}
app.kubernetes.io/name: {{ include "weir.name" . }}-edge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "weir.edge.labels" -}}
{{ include "weir.edge.selector" . }}
{{ include "weir.about" . }}
{{- end -}}

{{/* PostgreSQL's pods have another name, so that no service of Weir selects them. */}}
{{- define "weir.postgresql.selector" -}}
app.kubernetes.io/name: {{ include "weir.name" . }}-postgresql
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "weir.postgresql.labels" -}}
{{ include "weir.postgresql.selector" . }}
{{ include "weir.about" . }}
{{- end -}}

{{/* The pod that migrates has another name, too: nobody may send requests to it. */}}
{{- define "weir.migrate.labels" -}}
app.kubernetes.io/name: {{ include "weir.name" . }}-migrate
app.kubernetes.io/instance: {{ .Release.Name }}
{{ include "weir.about" . }}
{{- end -}}

{{- define "weir.postgresql.fullname" -}}
{{ include "weir.fullname" . }}-postgresql
{{- end -}}

{{- define "weir.postgresql.secret" -}}
{{- default (include "weir.postgresql.fullname" .) .Values.postgresql.secret -}}
{{- end -}}

{{- define "weir.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "weir.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* `true` for a listener that speaks TLS: (list $ "admin"). */}}
{{- define "weir.speaksTls" -}}
{{- $root := index . 0 -}}
{{- if and $root.Values.tls.secret (has (index . 1) $root.Values.tls.listeners) -}}true{{- end -}}
{{- end -}}

{{/* The names of the listeners that other pods reach, as a JSON list in {"names": …}. */}}
{{- define "weir.open" -}}
{{- $names := list -}}
{{- range $name := list "sdk" "grpc" "xray" -}}
{{- if (index $.Values.listeners $name).enabled -}}{{- $names = append $names $name -}}{{- end -}}
{{- end -}}
{{- dict "names" $names | toJson -}}
{{- end -}}

{{/* One probe of the admin listener: (list $ "/readyz"). */}}
{{- define "weir.probe" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.listeners.admin.enabled -}}
httpGet:
  path: {{ index . 1 }}
  port: admin
  {{- if include "weir.speaksTls" (list $root "admin") }}
  # The kubelet does not check the certificate.
  scheme: HTTPS
  {{- end }}
{{- else -}}
# It fails only if nothing answers or the process is stopping: Weir stays ready while the database is away.
exec:
  command: [/usr/local/bin/weir, health]
{{- end -}}
{{- end -}}

{{/* `true` if the listener for probes and Prometheus is open. */}}
{{- define "weir.observes" -}}
{{- if or .Values.metrics.podMonitor.enabled .Values.metrics.from -}}true{{- end -}}
{{- end -}}

{{/* Stops where values would send tokens where others can read them, or contradict each other. */}}
{{- define "weir.check" -}}
{{- $admin := .Values.listeners.admin -}}
{{- if and $admin.enabled (not .Values.networkPolicy.enabled) (not (include "weir.speaksTls" (list . "admin"))) -}}
{{- fail "networkPolicy.enabled is false, so every pod would reach the admin listener, to which tokens are sent in the clear: set tls.secret, or listeners.admin.enabled=false, which leaves it on loopback" -}}
{{- end -}}
{{- if .Values.ingress.admin.enabled -}}
{{- if not $admin.enabled -}}
{{- fail "ingress.admin needs listeners.admin.enabled=true" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not $admin.from) -}}
{{- fail "ingress.admin: name the pods of the ingress controller in listeners.admin.from, or the NetworkPolicy keeps them away" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.sdk.enabled (not .Values.listeners.sdk.enabled) -}}
{{- fail "ingress.sdk needs listeners.sdk.enabled=true" -}}
{{- end -}}
{{- if and .Values.metrics.podMonitor.enabled .Values.networkPolicy.enabled (not .Values.metrics.from) -}}
{{- fail "metrics.podMonitor: say in metrics.from where Prometheus runs, or the NetworkPolicy keeps it away" -}}
{{- end -}}
{{- if .Values.migrate.enabled -}}
{{- if .Values.postgresql.enabled -}}
{{- fail "migrate: with postgresql.enabled Weir owns its tables and brings them up to date itself, and the database is not there before the installation" -}}
{{- end -}}
{{- if not .Values.migrate.secret -}}
{{- fail "migrate.enabled: name in migrate.secret a secret with the URL of the role that owns the tables" -}}
{{- end -}}
{{- end -}}
{{- with .Values.access.oidc -}}
{{- if and .issuer (not .roles) -}}
{{- fail "access.oidc: nobody has a role; set access.oidc.roles, like {platform-team: operator}" -}}
{{- end -}}
{{- if and .issuer (not .clientId) (not .audience) -}}
{{- fail "access.oidc: set clientId and publicUrl for people, audience for programs, or both" -}}
{{- end -}}
{{- if and .clientId (not .publicUrl) -}}
{{- fail "access.oidc.clientId needs access.oidc.publicUrl, where browsers reach Weir" -}}
{{- end -}}
{{- end -}}
{{- range $name, $client := .Values.tls.clients -}}
{{- if and $client.secret (not (include "weir.speaksTls" (list $ $name))) -}}
{{- fail (printf "tls.clients.%s: clients present certificates in TLS only: set tls.secret, and add %s to tls.listeners" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
