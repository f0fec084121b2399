-- Health of the kinds of external-secrets.io for Argo CD: ExternalSecret, PushSecret, SecretStore, ClusterSecretStore,
-- ClusterExternalSecret, ClusterPushSecret. Right after a change too. Works with upstream's controller and with sealops.
--
-- In the ConfigMap argocd-cm, under resource.customizations.health.external-secrets.io_ExternalSecret and so on.
local health = { status = "Progressing", message = "waiting for the controller" }
if obj.status == nil or obj.status.conditions == nil then
  return health
end
local ready = nil
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Ready" then
    ready = condition
  end
end
if ready == nil then
  return health
end
local message = ready.message or ready.reason or ""
if ready.status == "False" then
  return { status = "Degraded", message = message }
end
-- generation-hash of what was synced last. What is fetched once keeps the first one.
local synced = obj.status.syncedResourceVersion
local spec = obj.spec or {}
local once = spec.refreshPolicy == "CreatedOnce" or spec.refreshInterval == "0" or spec.refreshInterval == "0s"
if synced ~= nil and not once then
  local generation = tonumber(string.match(synced, "^(%d+)-"))
  if generation ~= nil and obj.metadata.generation ~= nil and generation < obj.metadata.generation then
    health.message = "the controller has not seen this change yet"
    return health
  end
end
if ready.status == "True" then
  return { status = "Healthy", message = message }
end
return health
