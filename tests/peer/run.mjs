// SPDX-License-Identifier: Apache-2.0
// Runs models of one case folder through ONNX Runtime and compares their outputs with ours.
// Usage: node run.mjs MODULES CASE.json   (MODULES holds node_modules/onnxruntime-node; see peer.c for CASE.json)
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const [modules, casePath] = process.argv.slice(2);
const ort = createRequire(resolve(modules, 'package.json'))('onnxruntime-node');
const folder = dirname(casePath);
const description = JSON.parse(readFileSync(casePath, 'utf8'));

function floats(name) {
    const bytes = readFileSync(join(folder, name));
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

// Largest absolute difference relative to the largest expected magnitude; NaN or a wrong length is infinite.
function relativeError(expected, actual) {
    if (expected.length !== actual.length) return Infinity;
    let largest = 0, worst = 0;
    for (let i = 0; i < expected.length; i++) {
        largest = Math.max(largest, Math.abs(expected[i]));
        const difference = Math.abs(expected[i] - actual[i]);
        if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference;
    }
    return largest > 0 ? worst / largest : worst > 0 ? Infinity : 0;
}

let failed = false;
const cells = [];
for (const item of description.runs) {
    const session = await ort.InferenceSession.create(resolve(folder, item.model), { intraOpNumThreads: 1 });
    const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', floats('input.f32'), description.shape) };
    const outputs = await session.run(feeds);
    const actual = outputs[session.outputNames[0]].data;
    // first against the reference interpreter, then, where there is a second file, against the runtime
    const errors = item.expected.map((name) => relativeError(floats(name), actual));
    if (errors.some((error) => !(error <= description.tolerance))) failed = true;
    cells.push(`${item.name} ${errors.map((error) => error.toExponential(1)).join('/')}`);
}
console.log(`${failed ? 'FAIL' : 'ok  '} ${description.model}: ${cells.join(', ')}`);
process.exit(failed ? 1 : 0);
