// Signatures as the Worker verifies them (edge/shared/src/border.js), here by this process' own implementation of Web Crypto.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { importKeys, isSigned } from "../../shared/src/border.js";

const NEW = "shpss_test_new_0123456789abcdef";
const OLD = "shpss_test_old_fedcba9876543210";

// Made with OpenSSL and with Python's hmac, which agree: body, signature by the new secret, by the old one.
const VECTORS = [
  [
    '{"id": 820982911946154508, "name": "#9999", "total_price": "199.00", "note": null}',
    "4kELij2jrvE33SDuTuaq/o33Nwawy7/nfEq0v8Bs+G4=",
    "tQgl+dixvU0+/WuqNjqolIMTtWh6d0UnfYqGqN1t7f0=",
  ],
  [
    `{
  "id": 890088186047892319,
  "order_id": 820982911946154508,
  "note": "Grüße \\u0026 \\/ end"
}`,
    "wylZgpVO6jUwtJYGJAA2NUh44vEj28W36E/iwtSLaHI=",
    "5SNuu9tY0ZG2De2lkhaT1FCVVHKa5Uu9tfkDBeel4uo=",
  ],
  [
    '{ "id":788032119674292922 }',
    "T3IbNS4FVeIHbWTIG/twwRij+Pw1SJ7PVP+Zw8HqNm8=",
    "cu+Vo5CV18gDVnZqouSaeeDU0SxGYWYoVE92kqT2Gs8=",
  ],
];

const bytes = (text) => new TextEncoder().encode(text);
const verify = async (secrets, signature, body) => isSigned(await importKeys(secrets), Buffer.from(signature, "base64"), body);

test("either secret is accepted during rotation, and no other", async () => {
  for (const [body, byNew, byOld] of VECTORS) {
    for (const signature of [byNew, byOld]) assert.equal(await verify([NEW, OLD], signature, bytes(body)), true);
    assert.equal(await verify([NEW], byNew, bytes(body)), true);
    assert.equal(await verify([NEW], byOld, bytes(body)), false);
    assert.equal(await verify([], byNew, bytes(body)), false);
  }
});

test("JSON that was written anew is refused", async () => {
  for (const [body, byNew] of VECTORS) {
    const again = JSON.stringify(JSON.parse(body));
    assert.notEqual(again, body);
    assert.equal(await verify([NEW, OLD], byNew, bytes(again)), false);
  }
});

test("one changed byte is refused, and so is a signature cut short or empty", async () => {
  const [text, byNew] = VECTORS[0];
  for (let at = 0; at < text.length; at += 1) {
    const body = bytes(text);
    body[at] ^= 1;
    assert.equal(await verify([NEW, OLD], byNew, body), false);
  }
  const short = Buffer.from(byNew, "base64").subarray(0, 16).toString("base64");
  for (const signature of ["", short]) assert.equal(await verify([NEW, OLD], signature, bytes(text)), false);
});

test("no random signature of any length is accepted", async () => {
  const keys = await importKeys([NEW, OLD]);
  for (let attempt = 0; attempt < 500; attempt += 1) {
    const signature = randomBytes(attempt % 5 === 0 ? attempt % 97 : 32);
    assert.equal(await isSigned(keys, signature, randomBytes(attempt)), false, signature.toString("base64"));
  }
});
