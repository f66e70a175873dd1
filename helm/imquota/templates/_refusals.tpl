{{/*
What cannot work is refused before anything is installed. Each message names the value and says what to
do. What a schema can say alone is in values.schema.json.
*/}}
{{- define "imquota.refusals" -}}
{{- $v := .Values -}}
{{- if eq $v.store "embedded" -}}
  {{- if eq $v.mode "sidecar" -}}
    {{- fail "store: with mode sidecar it must be redis: an embedded ledger would count in each gateway Pod by itself, and be gone with it" -}}
  {{- end -}}
  {{- if gt (int $v.replicas) 1 -}}
    {{- fail (printf "replicas: %d Pods cannot share an embedded ledger, each would count by itself; set store to redis, or replicas to 1" (int $v.replicas)) -}}
  {{- end -}}
  {{- if $v.autoscaling.enabled -}}
    {{- fail "autoscaling.enabled: more Pods than one cannot share an embedded ledger; set store to redis" -}}
  {{- end -}}
  {{- if not $v.persistence.enabled -}}
    {{- fail "persistence.enabled: the embedded ledger is in the Pod's volume, without one each restart forgets all counts; set it to true, or store to redis" -}}
  {{- end -}}
  {{- if or $v.redis.url $v.redis.urls -}}
    {{- fail "redis.url: a Redis is named while store is embedded; set store to redis, or leave it out" -}}
  {{- end -}}
{{- else -}}
  {{- include "imquota.redisRefusals" $v.redis -}}
{{- end -}}
{{- if and (eq $v.mode "sidecar") $v.tls.secretName -}}
  {{- fail "tls.secretName: a sidecar is asked over loopback and has no listener that others reach; leave it out" -}}
{{- end -}}
{{- if and (ne $v.tls.clientCertificates "none") (not $v.tls.secretName) -}}
  {{- fail "tls.clientCertificates: without tls.secretName there is no TLS in which one could be shown" -}}
{{- end -}}
{{- if not $v.workers -}}
  {{- if not (dig "requests" "cpu" "" $v.resources) -}}
    {{- fail "resources.requests.cpu: the number of workers follows from it; set it, or workers" -}}
  {{- end -}}
{{- end -}}
{{- $least := add $v.preStopSeconds 8 -}}
{{- if and (eq $v.mode "standalone") (lt (int $v.terminationGracePeriodSeconds) (int $least)) -}}
  {{- fail (printf "terminationGracePeriodSeconds: a Pod needs %d s to end in good order: preStopSeconds and 8 s for the drain" $least) -}}
{{- end -}}
{{- $ports := list (int $v.ports.grpc) (int $v.ports.health) (int $v.ports.http) -}}
{{- if ne (len (uniq $ports)) 3 -}}
  {{- fail "ports: grpc, health and http must be three ports" -}}
{{- end -}}
{{- end -}}

{{/* The named templates for gateways' charts make sense in one mode. */}}
{{- define "imquota.sidecarOnly" -}}
{{- if ne .Values.mode "sidecar" -}}
{{- fail "mode: a chart that includes the sidecar must set it to sidecar, or a workload is installed beside" -}}
{{- end -}}
{{- include "imquota.refusals" . -}}
{{- end -}}

{{/* Of the Redis alone; given `.Values.redis`. */}}
{{- define "imquota.redisRefusals" -}}
{{- if eq .mode "single" -}}
  {{- if not .url -}}
    {{- fail "redis.url: store is redis and none is named" -}}
  {{- end -}}
  {{- if .urls -}}
    {{- fail "redis.urls: is for mode sentinel or cluster; one Redis is named by redis.url" -}}
  {{- end -}}
{{- else -}}
  {{- if not .urls -}}
    {{- fail (printf "redis.urls: mode %s needs at least one" .mode) -}}
  {{- end -}}
  {{- if .url -}}
    {{- fail (printf "redis.url: mode %s is told by redis.urls" .mode) -}}
  {{- end -}}
{{- end -}}
{{- if and (eq .mode "sentinel") (not .masterName) -}}
  {{- fail "redis.masterName: the Sentinels must be asked for a master by its name" -}}
{{- end -}}
{{- if and (ne .mode "sentinel") (or .masterName .sentinel.username .sentinel.passwordSecret.name) -}}
  {{- fail "redis.masterName: it and redis.sentinel are for mode sentinel" -}}
{{- end -}}
{{- if eq .mode "cluster" -}}
  {{- range .urls -}}
    {{- if not (has (trimPrefix "/" (urlParse .).path) (list "" "0")) -}}
      {{- fail "redis.urls: one names a database; a Cluster has none but 0" -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $tls := false -}}
{{- range compact (append .urls .url) -}}
  {{- if contains "@" . -}}
    {{- fail "redis.url: holds a user or a password, which values and ConfigMaps show to many; name them in redis.username and redis.passwordSecret.name" -}}
  {{- end -}}
  {{- if or (hasPrefix "rediss://" .) (hasPrefix "valkeys://" .) -}}
    {{- $tls = true -}}
  {{- end -}}
{{- end -}}
{{- if and $tls (not .tls.secretName) -}}
  {{- fail "redis.tls.secretName: the image trusts no authority by itself; name a Secret with the ca.crt that Redis' certificate is by" -}}
{{- end -}}
{{- if and .tls.secretName (not $tls) -}}
  {{- fail "redis.tls.secretName: no URL begins with rediss://" -}}
{{- end -}}
{{- end -}}
