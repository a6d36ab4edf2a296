// The applications: how each is built, as its framework's own generator or documentation says, and started.
//
// `visitors`: how many different visitors must have had a page before its links are known to be nobody's own. One, if the
// page sets no cookie; three (min_visitors), if it does. `divided`: the page's Vary names a field in which Chromium and Firefox
// differ, so that each needs as many visitors.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { run, present, serve, stop, listens } = require('./processes.js');

const sources = path.join(__dirname, '..');
/** The oldest Node that the versions in the lock files run on. */
const NODE = [20, 19];
const npmEnvironment = { CI: '1', NEXT_TELEMETRY_DISABLED: '1', NUXT_TELEMETRY_DISABLED: '1', NO_UPDATE_NOTIFIER: '1' };

/** Installs what the lock file says, and builds, in a folder where a generator may have been before. */
async function npmBuild(name, folder) {
  fs.cpSync(path.join(sources, name), folder, { recursive: true });
  const options = { cwd: folder, env: npmEnvironment };
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], options);
  await run('npm', ['run', 'build'], options);
}

const serveNode = (folder, port, log, args) =>
  serve(process.execPath, args, {
    cwd: folder,
    env: { ...npmEnvironment, HOST: '127.0.0.1', PORT: String(port), NODE_ENV: 'production' },
    log,
    ready: () => listens(port),
  });

const sveltekit = {
  name: 'SvelteKit',
  folder: 'sveltekit',
  pages: [{ path: '/', visitors: 1 }, { path: '/sverdle', visitors: 1 }],
  programs: { npm: 'npm' },
  node: NODE,
  async build(folder) {
    await run('npx', ['--yes', 'sv@0.9.14', 'create', folder, ...'--template demo --types jsdoc --no-add-ons --no-install'.split(' ')], {
      env: npmEnvironment,
    });
    await npmBuild('sveltekit', folder);
  },
  start: (folder, port, log) => serveNode(folder, port, log, ['build']),
};

const next = {
  name: 'Next.js',
  folder: 'next',
  pages: [{ path: '/', visitors: 1 }],
  programs: { npm: 'npm' },
  node: NODE,
  async build(folder) {
    const options = '--js --app --no-tailwind --no-eslint --no-src-dir --skip-install --disable-git --yes --no-react-compiler';
    await run('npx', ['--yes', 'create-next-app@16.4.3', folder, ...options.split(' ')], { env: npmEnvironment });
    await npmBuild('next', folder);
  },
  start: (folder, port, log) =>
    serveNode(folder, port, log, ['node_modules/next/dist/bin/next', 'start', '-p', String(port), '-H', '127.0.0.1']),
};

const nuxt = {
  name: 'Nuxt',
  folder: 'nuxt',
  pages: [{ path: '/', visitors: 1 }],
  programs: { npm: 'npm' },
  node: NODE,
  build: (folder) => npmBuild('nuxt', folder),
  start: (folder, port, log) => serveNode(folder, port, log, ['.output/server/index.mjs']),
};

const django = {
  name: 'Django',
  folder: 'django',
  pages: [{ path: '/admin/login/', visitors: 3 }],
  programs: { python3: 'python3-venv' },
  async build(folder) {
    await run('python3', ['-m', 'venv', `${folder}/venv`]);
    const pip = ['install', '--quiet', '--disable-pip-version-check', '--only-binary', ':all:', '-r'];
    await run(`${folder}/venv/bin/pip`, [...pip, path.join(sources, 'django/requirements.txt')]);
    await run('venv/bin/django-admin', ['startproject', 'shop', '.'], { cwd: folder });
    fs.copyFileSync(path.join(sources, 'django/production.py'), `${folder}/shop/production.py`);
    const manage = (...args) => run('venv/bin/python', ['manage.py', ...args, '--settings=shop.production'], { cwd: folder });
    await manage('collectstatic', '--noinput');
    await manage('migrate');
  },
  start: (folder, port, log) =>
    serve('venv/bin/gunicorn', ['--bind', `127.0.0.1:${port}`, '--threads', '4', 'shop.wsgi'], {
      cwd: folder,
      env: { DJANGO_SETTINGS_MODULE: 'shop.production' },
      log,
      ready: () => listens(port),
    }),
};

const railsEnvironment = {
  RAILS_ENV: 'production',
  RAILS_SERVE_STATIC_FILES: '1',
  RAILS_LOG_TO_STDOUT: '1',
  SECRET_KEY_BASE: crypto.createHash('sha256').update('applications').digest('hex'),
};

const rails = {
  name: 'Rails',
  folder: 'rails',
  pages: [{ path: '/', visitors: 3, divided: true }],
  programs: { rails: 'ruby-rails', puma: 'puma' },
  async build(folder) {
    const options = '--minimal --skip-git --skip-active-record --skip-bundle --skip-webpack-install'.split(' ');
    const template = ['--template', path.join(sources, 'rails/template.rb')];
    // The folder's name is the application's, and may not be Rails.
    await run('rails', ['new', `${folder}/shop`, ...options, ...template], { env: railsEnvironment });
    await run('bin/rails', ['assets:precompile'], { cwd: `${folder}/shop`, env: railsEnvironment });
  },
  start: (folder, port, log) =>
    serve('bin/rails', ['server', '-b', '127.0.0.1', '-p', String(port), '-P', `${log}.pid`], {
      cwd: `${folder}/shop`,
      env: railsEnvironment,
      log,
      ready: () => listens(port),
    }),
};

/** Debian's WordPress, copied, since it takes its configuration from beside its own files; MariaDB, PHP-FPM and nginx. */
const wordpress = {
  name: 'WordPress',
  folder: 'wordpress',
  pages: [{ path: '/', visitors: 1 }],
  programs: {
    '/usr/share/wordpress/wp-load.php': 'wordpress',
    '/usr/share/wordpress/wp-includes/version.php': 'wordpress',
    '/var/lib/wordpress/wp-content/themes/twentytwentyone': 'wordpress-theme-twentytwentyone',
    mariadbd: 'mariadb-server',
    'mariadb-install-db': 'mariadb-server',
    nginx: 'nginx',
  },
  async build(folder) {
    await run('cp', ['-RL', '/usr/share/wordpress', `${folder}/site`]);
    await run('cp', ['-RL', '/var/lib/wordpress/wp-content/themes', `${folder}/site/wp-content`]);
    fs.copyFileSync(path.join(sources, 'wordpress/wp-config.php'), `${folder}/site/wp-config.php`);
    await run('mariadb-install-db', [
      ...['--no-defaults', `--datadir=${folder}/data`, `--user=${os.userInfo().username}`],
      ...['--auth-root-authentication-method=normal', '--skip-test-db'],
    ]);
    const { servers, folder: state } = await startDatabase(folder);
    try {
      await run('mariadb', ['--no-defaults', '-u', 'root', '-S', `${state}/mariadb.sock`, '-e', 'CREATE DATABASE wordpress']);
      await run('php', [path.join(sources, 'wordpress/install.php'), `${folder}/site`], { env: socket(state) });
    } finally {
      await servers.stop();
    }
  },
  async start(folder, port, log) {
    const { servers, folder: state } = await startDatabase(folder);
    const user = os.userInfo();
    const group = (await run('id', ['-gn'])).trim();
    for (const file of ['php-fpm.conf', 'nginx.conf']) {
      const text = fs.readFileSync(path.join(sources, 'wordpress', file), 'utf8');
      const values = { STATE: state, SITE: `${folder}/site`, PORT: port, USER: user.username, GROUP: group };
      fs.writeFileSync(`${state}/${file}`, text.replace(/@([A-Z]+)@/g, (_, name) => values[name]));
    }
    const fpm = fs.readdirSync('/usr/sbin').filter((name) => name.startsWith('php-fpm')).sort().at(-1);
    await servers.start(`/usr/sbin/${fpm}`, {
      args: ['--nodaemonize', ...(user.uid === 0 ? ['--allow-to-run-as-root'] : []), '--fpm-config', `${state}/php-fpm.conf`],
      env: socket(state),
      ready: () => fs.existsSync(`${state}/php-fpm.sock`),
      log,
    });
    await servers.start('nginx', {
      args: ['-e', `${state}/nginx.log`, '-c', `${state}/nginx.conf`],
      ready: () => listens(port),
      log,
    });
  },
};

/** What wp-config.php reads. */
const socket = (state) => ({ APPLICATION_DATABASE: `${state}/mariadb.sock` });

/** Starts the database; the folder of its socket has a short name, as sockets must. */
async function startDatabase(folder) {
  const state = fs.mkdtempSync(path.join(os.tmpdir(), 'linkpush-wp.'));
  process.once('exit', () => fs.rmSync(state, { recursive: true, force: true }));
  const started = [];
  const servers = {
    async start(command, { args, ...options }) {
      started.push(await serve(command, args, options));
    },
    async stop() {
      for (const server of started.reverse()) {
        await stop(server);
      }
    },
  };
  await servers.start('mariadbd', {
    args: [
      ...['--no-defaults', `--datadir=${folder}/data`, `--socket=${state}/mariadb.sock`, '--skip-networking'],
      ...[`--pid-file=${state}/mariadb.pid`, `--user=${os.userInfo().username}`, '--innodb-buffer-pool-size=32M'],
    ],
    log: `${state}/mariadb.log`,
    ready: () => fs.existsSync(`${state}/mariadb.sock`),
  });
  return { servers, folder: state };
}

const applications = [django, wordpress, rails, next, sveltekit, nuxt];

/** Why an application cannot be built here; null if it can. */
function missing(application) {
  const absent = Object.entries(application.programs).filter(([program]) => !present(program));
  const wanted = absent.map(([program, name]) => `${program} (package ${name})`);
  const [major, minor] = application.node ?? [0, 0];
  const [ours, minorOfOurs] = process.versions.node.split('.').map(Number);
  if (ours < major || (ours === major && minorOfOurs < minor)) {
    wanted.push(`Node ${major}.${minor} (this is ${process.versions.node})`);
  }
  return wanted.length === 0 ? null : wanted.join(', ');
}

/** All files below a folder, for a hash of what a build is made from. */
function files(folder) {
  return fs.readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

/** Builds an application in `target`, unless that was done from the same sources before; returns its folder. */
async function build(application, target) {
  const hash = crypto.createHash('sha256').update(fs.readFileSync(__filename));
  for (const file of files(path.join(sources, application.folder))) {
    hash.update(file).update(fs.readFileSync(file));
  }
  const made = hash.digest('hex');
  const folder = path.resolve(target, application.folder);
  const stamp = `${folder}.built`;
  if (!fs.existsSync(stamp) || fs.readFileSync(stamp, 'utf8') !== made) {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.rmSync(stamp, { force: true });
    fs.mkdirSync(folder, { recursive: true });
    await application.build(folder);
    fs.writeFileSync(stamp, made);
  }
  return folder;
}

module.exports = { applications, missing, build };
