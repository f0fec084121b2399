-- Health of a bitnami.com/SealedSecret for Argo CD, instead of the script that it brings: right after a change too, and
-- with a controller that only retries. Works with upstream's controller and with sealops.
--
-- In the ConfigMap argocd-cm, under resource.customizations.health.bitnami.com_SealedSecret.
local health = { status = "Progressing", message = "waiting for the controller" }
if obj.status == nil or obj.status.conditions == nil then
  return health
end
local generation = obj.metadata.generation
if generation ~= nil and obj.status.observedGeneration ~= nil and obj.status.observedGeneration < generation then
  health.message = "the controller has not seen this change yet"
  return health
end
local found = {}
for _, condition in ipairs(obj.status.conditions) do
  found[condition.type] = condition
end
if found.Synced == nil then
  return health
end
if found.Synced.status == "True" then
  return { status = "Healthy", message = "the Secret is up to date" }
end
local told = found.Ready or found.Synced
if found.Reconciling ~= nil and found.Reconciling.status == "True" then
  return { status = "Progressing", message = told.message }
end
return { status = "Degraded", message = told.message }
