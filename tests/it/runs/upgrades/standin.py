"""Makes a stand-in for pretix that pip can install: wheels in DIR/wheels, a configuration, a database, a backup.

Called as: standin.py wheels DIR | standin.py site DIR PORT | standin.py source DIR VERSION WORD MARK [first|broken|lies|lacks]
"""

import hashlib, base64, json, os, sqlite3, sys, time, zipfile

MAIN = r'''
import configparser, importlib.metadata, os, sqlite3, subprocess, sys
from pretix import MIGRATIONS


class Postgres:
    """As much of a database as is needed here, by psql."""

    def __init__(self, told):
        words = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "name"}
        self.env = dict(os.environ, **{variable: told[key] for variable, key in words.items()})

    def execute(self, sql, values=()):
        for value in values:
            sql = sql.replace("?", "'" + value + "'", 1)
        words = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql]
        done = subprocess.run(words, env=self.env, stdout=subprocess.PIPE, check=True, text=True)
        return [line.split("|") for line in done.stdout.splitlines()]

    def commit(self):
        pass


class Maria:
    """The same, by mariadb."""

    def __init__(self, told):
        self.words = ["mariadb", "--no-defaults", "-NB", "-h", told["host"], "-P", told["port"], "-u", told["user"]]
        self.env, self.name = dict(os.environ, MYSQL_PWD=told["password"]), told["name"]

    def execute(self, sql, values=()):
        for value in values:
            sql = sql.replace("?", "'" + value + "'", 1)
        words = self.words + ["-e", sql, self.name]
        done = subprocess.run(words, env=self.env, stdout=subprocess.PIPE, check=True, text=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def commit(self):
        pass


config = configparser.ConfigParser()
config.read(os.environ["PRETIX_CONFIG_FILE"])
data = config["pretix"]["datadir"]
switch = lambda name: os.path.exists(os.path.join(data, name))
told = dict(config["database"])
# As pretix: the environment stands over the file.
if not switch("deaf"):
    told["name"] = os.environ.get("PRETIX_DATABASE_NAME", told["name"])
if told["backend"] == "postgresql":
    database = Postgres(told)
elif told["backend"] == "mysql":
    database = Maria(told)
else:
    database = sqlite3.connect(told["name"], timeout=20)
seen = {row[0] for row in database.execute("select name from django_migrations where app = 'pretixbase'")}
pending = [name for name in MIGRATIONS if name not in seen]
command, flags = sys.argv[1], sys.argv[2:]
if command == "help":
    print("migrate\nrebuild\nupdateassets")
elif command == "migrate" and "--plan" in flags:
    print("\n".join("pretixbase." + name for name in pending) or "nothing")
elif command == "showmigrations" and "--plan" in flags:
    print("\n".join(("[ ]" if name in pending else "[X]") + "  pretixbase." + name for name in MIGRATIONS))
elif command == "migrate" and "--check" in flags:
    sys.exit(1 if pending else 0)
elif command == "migrate":
    for name in pending:
        if switch("fail-migrate") or (switch("fail-last") and name == MIGRATIONS[-1]):
            sys.exit("the migration " + name + " fails")
        database.execute("insert into django_migrations (app, name, applied) values ('pretixbase', ?, '2026-01-01')", [name])
        database.commit()
elif command in ("rebuild", "updateassets"):
    with open(os.path.join(data, command), "a") as log:
        log.write(importlib.metadata.version("pretix") + "\n")
else:
    sys.exit("unknown command " + command)
'''

GUNICORN = r'''
import configparser, http.server, os, pretix
config = configparser.ConfigParser()
config.read(os.environ["PRETIX_CONFIG_FILE"])
data, port = config["pretix"]["datadir"], int(config["pretix"]["url"].rstrip("/").rsplit(":", 1)[1])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = pretix.__version__.encode()
        sick = os.path.exists(os.path.join(data, "sick"))
        self.send_response(500 if sick else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer.allow_reuse_address = True
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''

CELERY = r'''
import configparser, os, pretix, signal
config = configparser.ConfigParser()
config.read(os.environ["PRETIX_CONFIG_FILE"])
with open(os.path.join(config["pretix"]["datadir"], "worker"), "w") as file:
    file.write(pretix.__version__)
signal.pause()
'''

BEAT = CELERY.replace('"worker"', '"beat"')


def wheel(directory, name, version, files, requires=()):
    info = f"{name}-{version}.dist-info"
    meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    meta += "".join(f"Requires-Dist: {wanted}\n" for wanted in requires)
    files = dict(files)
    files[f"{info}/METADATA"] = meta
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: standin\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(os.path.join(directory, f"{name}-{version}-py3-none-any.whl"), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def application(version, migrations):
    init = f"__version__ = {version!r}\nMIGRATIONS = {migrations!r}\n"
    files = {"pretix/__init__.py": init, "pretix/__main__.py": MAIN}
    files["pretix/base/apps.py"] = "class Config:\n    label = 'pretixbase'\n"
    files.update({f"pretix/base/migrations/{name}.py": "" for name in migrations})
    if len(migrations) == 1:
        files["pretix/only_before.py"] = ""
    return files


def wheels(root):
    to = os.path.join(root, "wheels")
    os.makedirs(to)
    for version in ("1.0", "2.0"):
        wheel(to, "standindep", version, {"standindep/__init__.py": f"version = {version!r}\n"})
    wheel(to, "standinextra", "1.0", {"standinextra/__init__.py": ""})
    first, all_of_them = ["0001_initial"], ["0001_initial", "0002_more", "0003_last"]
    wheel(to, "pretix", "2026.7.0", application("2026.7.0", first), ["standindep==1.0"])
    wheel(to, "pretix", "2026.8.0", application("2026.8.0", all_of_them), ["standindep==2.0", "standinextra"])
    wheel(to, "pretix", "2026.9.0", application("2026.9.0", all_of_them), ["standinlacking"])


BACKEND = r'''
import json, os, standin

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    told = json.load(open("told.json"))
    with open(told["mark"], "a") as mark:
        mark.write(told["version"] + " " + told["word"] + "\n")
    if told["kind"] == "broken":
        raise RuntimeError("it can't be built")
    files = {}
    for place, _, names in os.walk("src"):
        for path in [os.path.join(place, name) for name in names]:
            files[os.path.relpath(path, "src")] = open(path).read()
    version = "2026.8.9" if told["kind"] == "lies" else told["version"]
    requires = ["standinlacking"] if told["kind"] == "lacks" else ["standindep==2.0", "standinextra"]
    standin.wheel(wheel_directory, "pretix", version, files, requires)
    return f"pretix-{version}-py3-none-any.whl"
'''


def source(root, version, word, mark, kind="whole"):
    """The source as a repository has it: it brings what builds it, which leaves a mark."""
    names = ["0001_initial"] if kind == "first" else ["0001_initial", "0002_more", "0003_last"]
    files = {"src/" + path: text for path, text in application(version, names).items()}
    files["src/pretix/which.py"] = word
    files["build/backend.py"] = BACKEND
    files["build/standin.py"] = open(__file__).read()
    files["pyproject.toml"] = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["build"]\n'
    files["pyproject.toml"] += '[project]\nname = "pretix"\ndynamic = ["version"]\n'
    files["told.json"] = json.dumps({"version": version, "word": word, "mark": mark, "kind": kind})
    for path, text in files.items():
        path = os.path.join(root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)


def site(root, port):
    data, venv = os.path.join(root, "data"), os.path.join(root, "venv")
    config = os.path.join(root, "pretix.cfg")
    os.makedirs(data)
    os.makedirs(os.path.join(root, "backups"))
    with open(config, "w") as file:
        file.write(f"[pretix]\ninstance_name=Standin\nurl=http://127.0.0.1:{port}\ndatadir={data}\n")
        file.write(f"[database]\nbackend=sqlite3\nname={data}/db.sqlite3\n")
    for name, text in (("gunicorn", GUNICORN), ("celery", CELERY), ("beat", BEAT)):
        with open(os.path.join(venv, "bin", name), "w") as file:
            file.write(text)
    database = sqlite3.connect(os.path.join(data, "db.sqlite3"))
    database.execute("create table django_migrations (id integer primary key, app text, name text, applied text)")
    database.execute("insert into django_migrations values (1, 'pretixbase', '0001_initial', '2026-01-01')")
    database.execute("create table pretixbase_order (id integer primary key, code text)")
    database.executemany("insert into pretixbase_order (code) values (?)", [(f"A{n}",) for n in range(50)])
    database.commit()
    backup = os.path.join(root, "backups", "pretix.sqlite3")
    with sqlite3.connect(backup) as copy:
        database.backup(copy)
    copy.close()
    # One that rests is read.
    before = time.time() - 300
    os.utime(backup, (before, before))
    start = os.path.join(root, "start")
    python = os.path.join(venv, "bin", "python")
    with open(start, "w") as file:
        file.write(
            f"#!/bin/bash\ncd {root}\nexport PRETIX_CONFIG_FILE={config}\n[ ! -e {data}/fail-start ] || exit 3\n"
            f"case $1 in\n"
            # As one that ends at once.
            f"web) [ ! -e {data}/fail-new ] || [ ! -d {venv}/lib/*/site-packages/pretix-2026.8.0.dist-info ] || exit 0\n"
            f"{python} {venv}/bin/gunicorn pretix.wsgi >>{root}/log 2>&1 & ;;\n"
            f"worker) {python} {venv}/bin/celery -A pretix.celery_app worker >>{root}/log 2>&1 & ;;\n"
            f"beat) {python} {venv}/bin/beat >>{root}/log 2>&1 & ;;\n"
            f"esac\ndisown\n"
        )
    os.chmod(start, 0o755)


if __name__ == "__main__":
    if sys.argv[1] == "wheels":
        wheels(sys.argv[2])
    elif sys.argv[1] == "source":
        source(*sys.argv[2:])
    else:
        site(sys.argv[2], int(sys.argv[3]))
