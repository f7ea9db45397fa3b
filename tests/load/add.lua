-- What wrk sends: adds of one point to players at random, or reads of the same
-- board's standings. run.sh sets the variables.
local board, token, what = os.getenv("BOARD"), os.getenv("TOKEN"), os.getenv("WHAT")

function init()
  math.randomseed(os.time())
end

function request()
  local player = "p" .. math.random(1, 10000)
  if what == "add" then
    return wrk.format("POST", "/v1/boards/" .. board .. "/entries",
      { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" },
      '{"player":"' .. player .. '","points":1}')
  elseif what == "list" then
    return wrk.format("GET", "/v1/boards/" .. board .. "/standings?limit=50")
  end
  return wrk.format("GET", "/v1/boards/" .. board .. "/standings/" .. player)
end

local refused = 0
function response(status)
  if status >= 400 then
    refused = refused + 1
    if refused == 1 then print("refused with " .. status) end
  end
end
