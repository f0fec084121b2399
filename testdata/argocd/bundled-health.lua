-- The rules of the health script that Argo CD brings for bitnami.com/SealedSecret, in our words: the first condition
-- Synced decides, nothing else is looked at.
local health = { status = "Progressing", message = "waiting for the controller" }
local conditions = obj.status ~= nil and obj.status.conditions or {}
for _, condition in ipairs(conditions) do
  if condition.type == "Synced" then
    health.message = condition.message
    health.status = condition.status == "False" and "Degraded" or "Healthy"
    return health
  end
end
return health
