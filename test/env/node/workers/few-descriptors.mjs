// A process of the tests, started with few descriptors: an echo listener and an HTTP listener. Says its ports, then
// each line that it logs, over the channel to its parent.
import { createNodeEnvironment } from '../../../../dist/env/node/environment.js';
import { createHttpServer } from '../../../../dist/env/node/http.js';

const say = (level) => (text, fields) => process.send({ level, text, fields });
const log = {
  debug: say('debug'),
  info: say('info'),
  warn: say('warn'),
  error: say('error'),
  child: () => log,
};
const at = { host: '127.0.0.1', port: 0 };
const { net } = createNodeEnvironment({ log });
const echo = await net.listen(at, (connection) => {
  connection.start({
    onBytes: (view) => connection.write(view.slice()),
    onClose: () => undefined,
  });
});
const http = await createHttpServer({ log, names: [] }).serve(at, async () => ({
  status: 200,
  contentType: 'text/plain',
  body: 'served\n',
}));
process.send({ ports: [echo.address.port, http.address.port] });
