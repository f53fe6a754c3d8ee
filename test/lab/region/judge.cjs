// SPDX-License-Identifier: Apache-2.0
//
// Judges requests by IAM policies, a line of JSON for each:
//   {"principal", "account", "action", "resource", "context": {KEY: VALUE}, "policies": [DOCUMENT]}
//   -> {"allowed": true|false} or {"problem": TEXT}

"use strict";
const { createInterface } = require("node:readline");
const { runSimulation } = require("@cloud-copilot/iam-simulate");

// The policy that a key has by default: IAM decides.
// https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
const KEY_POLICY = (account) => ({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: "kms:*", Resource: "*" }],
});

async function judge(asked) {
    const result = await runSimulation({
        request: {
            principal: asked.principal,
            action: asked.action,
            resource: { resource: asked.resource, accountId: asked.account },
            contextVariables: asked.context,
        },
        resourcePolicy: asked.action.startsWith("kms:") ? KEY_POLICY(asked.account) : undefined,
        identityPolicies: asked.policies.map((policy, i) => ({ name: String(i), policy })),
        serviceControlPolicies: [],
        resourceControlPolicies: [],
    }, {});
    if (result.resultType === "error") {
        return { problem: JSON.stringify(result.errors) };
    }
    return { allowed: result.overallResult === "Allowed" };
}

(async () => {
    for await (const line of createInterface({ input: process.stdin })) {
        let answer;
        try {
            answer = await judge(JSON.parse(line));
        } catch (error) {
            answer = { problem: String(error) };
        }
        process.stdout.write(`${JSON.stringify(answer)}\n`);
    }
})();
