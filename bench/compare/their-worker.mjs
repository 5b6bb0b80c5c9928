// The other thread of comlink's and the message port's cases.
import { parentPort, workerData } from 'node:worker_threads';
import * as comlink from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';

if (workerData === 'comlink') comlink.expose({ echo: (n) => n }, nodeEndpoint(parentPort));
else {
  let taken = 0;
  parentPort.on('message', (message) => {
    if (typeof message === 'number') parentPort.postMessage(message);
    else if (message === 'taken') {
      parentPort.postMessage(taken);
      taken = 0;
    } else taken += 1;
  });
}
