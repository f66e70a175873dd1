{{/* The settings file, as `imquota check-config` reads it. */}}
{{- define "imquota.settings" -}}
{{- $v := .Values -}}
{{- $grpc := include "imquota.bound" (dict "root" . "port" $v.ports.grpc) -}}
{{- if eq $v.mode "standalone" -}}
listen:
  - {{ $grpc | quote }}
  # For the verbs within the Pod.
  - "unix:/run/imquota/imquota.sock"
{{- if $v.tls.secretName }}
tls:
  listen:
    cert: /etc/imquota-tls/tls.crt
    key: /etc/imquota-tls/tls.key
    {{- if ne $v.tls.clientCertificates "none" }}
    client_ca: /etc/imquota-tls/ca.crt
    client_cert: {{ $v.tls.clientCertificates }}
    {{- end }}
{{- else }}
# Gateways are other Pods; the NetworkPolicy says which.
allow_plaintext: [{{ $grpc | quote }}]
{{- end }}
{{- else -}}
listen:
  - "127.0.0.1:{{ $v.ports.grpc }}"
  - "unix:/run/imquota/imquota.sock"
  {{- if $v.sidecar.socket }}
  - "unix:/run/imquota-gateway/imquota.sock"
  {{- end }}
{{- end }}
admin_listen: "unix:/run/imquota/admin.sock"
health_listen: {{ include "imquota.bound" (dict "root" . "port" $v.ports.health) | quote }}
http_listen: {{ include "imquota.bound" (dict "root" . "port" $v.ports.http) | quote }}
# Below the volume, whose own folder belongs to another user.
data_dir: /var/lib/imquota/data
store:
  {{- if eq $v.store "embedded" }}
  url: embedded
  {{- else }}
  {{- include "imquota.redisSettings" $v.redis | nindent 2 }}
  key_prefix: {{ $v.redis.keyPrefix | quote }}
  create: {{ $v.redis.create }}
  timeout: {{ $v.redis.timeout }}
  witness_wait: {{ $v.redis.witnessWait }}
  {{- end }}
log_format: {{ $v.settings.log_format }}
{{- if $v.settings.shadow }}
shadow: true
{{- end }}
unknown_app_plan: {{ $v.settings.unknown_app_plan | toJson }}
{{- range $key := list "request_ids" "outage" "billing" "plans" "apps" }}
{{- with index $v.settings $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where Redis is and how to log in there; given `.Values.redis`. */}}
{{- define "imquota.redisSettings" -}}
{{- if eq .mode "single" -}}
url: {{ .url | quote }}
{{- else -}}
mode: {{ .mode }}
urls: {{ .urls | toJson }}
{{- end }}
{{- with .masterName }}
master_name: {{ . | quote }}
{{- end }}
{{- with .username }}
username: {{ . | quote }}
{{- end }}
{{- if .passwordSecret.name }}
password_file: /etc/imquota-redis/password
{{- end }}
{{- with .sentinel.username }}
sentinel_username: {{ . | quote }}
{{- end }}
{{- if .sentinel.passwordSecret.name }}
sentinel_password_file: /etc/imquota-redis/sentinel-password
{{- end }}
{{- if .tls.secretName }}
tls:
  ca_file: /etc/imquota-redis/ca.crt
  {{- if .tls.clientCertificate }}
  cert_file: /etc/imquota-redis/tls.crt
  key_file: /etc/imquota-redis/tls.key
  {{- end }}
  {{- with .tls.serverName }}
  server_name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Changes with the settings: Pods are rolled when it does. */}}
{{- define "imquota.checksum" -}}
{{ include "imquota.settings" . | sha256sum }}
{{- end -}}
