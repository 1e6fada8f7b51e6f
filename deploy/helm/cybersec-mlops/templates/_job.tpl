{{/* The specification of the Job, shared by the Job and the CronJob. */}}

{{- define "cybersec-mlops.jobSpec" -}}
parallelism: 1
completions: 1
backoffLimit: {{ .Values.job.backoffLimit }}
activeDeadlineSeconds: {{ .Values.job.activeDeadlineSeconds }}
ttlSecondsAfterFinished: {{ .Values.job.ttlSecondsAfterFinished }}
# The first rule that matches decides; what none matches counts against backoffLimit.
podFailurePolicy:
  rules:
    # 2 configuration, 3 data, 5 the model was refused: the same again would end the same.
    - action: FailJob
      onExitCodes:
        containerName: pipeline
        operator: In
        values: [2, 3, 5]
    # Drained, preempted, evicted: not the run's fault, and no try is used up.
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
          status: "True"
    # 4 store, database or Prefect server away: tried again with growing delays.
    - action: Count
      onExitCodes:
        containerName: pipeline
        operator: In
        values: [4]
template:
  metadata:
    labels:
      {{- include "cybersec-mlops.labels" . | nindent 6 }}
      app.kubernetes.io/component: pipeline
      {{- with .Values.podLabels }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with .Values.podAnnotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    {{- include "cybersec-mlops.podSpec" . | nindent 4 }}
{{- end -}}

{{- define "cybersec-mlops.podSpec" -}}
restartPolicy: Never
terminationGracePeriodSeconds: {{ .Values.job.terminationGracePeriodSeconds }}
serviceAccountName: {{ include "cybersec-mlops.serviceAccountName" . }}
{{ include "cybersec-mlops.podDefaults" . }}
containers:
  - name: pipeline
    image: {{ include "cybersec-mlops.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: ["python", "-m", "cybersec_mlops.pipeline.full_mlops_flow"]
    args:
      - --config
      - /etc/cybersec-mlops/run.toml
      {{- range .Values.extraArgs }}
      - {{ . | quote }}
      {{- end }}
    env:
      {{- include "cybersec-mlops.env" . | nindent 6 }}
    {{- with .Values.extraEnvFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      {{- include "cybersec-mlops.containerSecurity" . | nindent 6 }}
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
      - name: scratch
        mountPath: /scratch
      - name: config
        mountPath: /etc/cybersec-mlops
        readOnly: true
      {{- if or .Values.store.ca.configMap .Values.store.ca.secret }}
      - name: store-ca
        mountPath: /etc/cybersec-mlops-ca
        readOnly: true
      {{- end }}
volumes:
  - name: scratch
    {{- if .Values.scratch.storageClassName }}
    ephemeral:
      volumeClaimTemplate:
        spec:
          accessModes: [ReadWriteOnce]
          storageClassName: {{ .Values.scratch.storageClassName }}
          resources:
            requests:
              storage: {{ .Values.scratch.sizeLimit }}
    {{- else }}
    emptyDir:
      sizeLimit: {{ .Values.scratch.sizeLimit }}
    {{- end }}
  - name: config
    configMap:
      name: {{ include "cybersec-mlops.fullname" . }}
  {{- if .Values.store.ca.configMap }}
  - name: store-ca
    configMap:
      name: {{ .Values.store.ca.configMap }}
      items:
        - key: {{ .Values.store.ca.key }}
          path: ca.crt
  {{- else if .Values.store.ca.secret }}
  - name: store-ca
    secret:
      secretName: {{ .Values.store.ca.secret }}
      items:
        - key: {{ .Values.store.ca.key }}
          path: ca.crt
  {{- end }}
{{- end -}}

{{- define "cybersec-mlops.env" -}}
# The Job's UID: a retried pod has the same one and resumes the same flow run.
- name: CYBERSEC_MLOPS_IDEMPOTENCY_KEY
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['batch.kubernetes.io/controller-uid']
- name: CYBERSEC_MLOPS_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: CYBERSEC_MLOPS_IMAGE_DIGEST
  value: {{ .Values.image.digest | quote }}
- name: CYBERSEC_MLOPS_STORE_URL
  value: {{ .Values.store.url | quote }}
- name: CYBERSEC_MLOPS_SCRATCH_DIR
  value: /scratch
- name: CYBERSEC_MLOPS_HOME
  value: /scratch/home
- name: HOME
  value: /scratch/home
- name: TMPDIR
  value: /scratch
- name: AWS_ENDPOINT_URL
  value: {{ .Values.store.endpoint | quote }}
- name: AWS_REGION
  value: {{ .Values.store.region | quote }}
{{ include "cybersec-mlops.secretEnv" (list "AWS_ACCESS_KEY_ID" .Values.store.existingSecret) }}
{{ include "cybersec-mlops.secretEnv" (list "AWS_SECRET_ACCESS_KEY" .Values.store.existingSecret) }}
{{- if or .Values.store.ca.configMap .Values.store.ca.secret }}
- name: AWS_CA_BUNDLE
  value: /etc/cybersec-mlops-ca/ca.crt
{{- end }}
{{ include "cybersec-mlops.secretEnv" (list "CYBERSEC_MLOPS_DATABASE_URL" .Values.database.existingSecret) }}
- name: PREFECT_API_URL
  value: {{ .Values.prefect.apiUrl | quote }}
- name: PREFECT_HOME
  value: /scratch/prefect
- name: PREFECT_SERVER_ALLOW_EPHEMERAL_MODE
  value: "false"
- name: PREFECT_CLIENT_MAX_RETRIES
  value: {{ .Values.prefect.clientMaxRetries | quote }}
- name: PREFECT_FLOWS_HEARTBEAT_FREQUENCY
  value: {{ .Values.prefect.heartbeatSeconds | quote }}
{{- with .Values.prefect.existingSecret }}
{{ include "cybersec-mlops.secretEnv" (list "PREFECT_API_AUTH_STRING" .) }}
{{- end }}
# As many threads as the container may use, not as many as the node has.
- name: POLARS_MAX_THREADS
  valueFrom:
    resourceFieldRef:
      containerName: pipeline
      resource: limits.cpu
- name: OMP_NUM_THREADS
  valueFrom:
    resourceFieldRef:
      containerName: pipeline
      resource: limits.cpu
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
