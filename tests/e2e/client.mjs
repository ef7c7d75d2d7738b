// SPDX-License-Identifier: Apache-2.0
// A client in another language, with nothing but what Node brings: read, subscribe, trade.
// MT5_URL=... MT5_API_KEY=... node client.mjs ACCOUNT_ID IDEMPOTENCY_KEY
const [accountId, key] = process.argv.slice(2);
const base = `${process.env.MT5_URL}/accounts/${accountId}/api`;
const headers = { "X-API-Key": process.env.MT5_API_KEY, "Content-Type": "application/json" };

async function ask(path, options = {}) {
  const answer = await fetch(base + path, { headers, ...options });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

function open(url) {
  const socket = new WebSocket(url, { headers });
  const early = [], waiting = [];
  const take = (message) => {
    const index = waiting.findIndex(({ wanted }) => wanted(message));
    if (index < 0) early.push(message);
    else waiting.splice(index, 1)[0].resolve(message);
  };
  socket.onmessage = ({ data }) => take(JSON.parse(data));
  const fail = (why) => waiting.splice(0).forEach(({ reject }) => reject(new Error(why)));
  socket.onclose = ({ code, reason }) => fail(`closed: ${code} ${reason}`);
  socket.onerror = () => fail("no connection");
  const next = (wanted) => {
    const index = early.findIndex(wanted);
    if (index >= 0) return Promise.resolve(early.splice(index, 1)[0]);
    return new Promise((resolve, reject) => waiting.push({ wanted, resolve, reject }));
  };
  return { next, send: (message) => socket.send(JSON.stringify(message)), close: () => socket.close() };
}

const { account } = await ask("/account");

const stream = open(`${process.env.MT5_URL.replace(/^http/, "ws")}/ws/account/${accountId}?symbols=EURUSD`);
const welcome = await stream.next(({ type }) => type === "welcome");
stream.send({ type: "subscribe", id: "gold", data: { symbols: ["XAUUSD"] } });
const subscribed = await stream.next(({ id }) => id === "gold");
const tick = await stream.next(
  ({ type, data }) => type === "tick_data" && data.changed.some(({ symbol }) => symbol === "XAUUSD"),
);

const order = { symbol: "EURUSD", side: "buy", type: "market", volume: "0.14" };
const request = {
  method: "POST",
  headers: { ...headers, "Idempotency-Key": key },
  body: JSON.stringify(order),
};
const placed = await ask("/order", request);
const again = await ask("/order", request);
const deal = await stream.next(({ type, data }) => type === "deal" && data.order === placed.order);
stream.close();

console.log(JSON.stringify({ account, welcome, subscribed, tick, placed, again, deal }));
