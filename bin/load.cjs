// Loads the program. A file of its own, because an old Node could not even parse the import below.
'use strict';

import('../dist/main.js').catch((error) => {
  const isUnbuilt = error.code === 'ERR_MODULE_NOT_FOUND' && /dist.main\.js/.test(error.message);
  process.stderr.write(
    `callboard: ${isUnbuilt ? 'not built; run `npm run build`' : error.stack}\n`,
  );
  process.exitCode = 1;
});
