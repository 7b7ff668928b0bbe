# The front door. `make help` lists the targets; a pipeline calls the same ones as a person.
# Each target's work is in bin/, where it can be read and linted.
MAKEFLAGS += --no-print-directory --warn-undefined-variables
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Some machines set it. Without bytecode Ansible compiles itself whenever it starts, hundreds of times, which takes as
# long as all else that a start does.
unexport PYTHONDONTWRITEBYTECODE

ENV ?= local
CLOUD ?= local
NODES ?=
RELEASE ?= trixie
TO ?=
STACK ?=
HOST ?= m1
SERVICE ?= web
REQUEST ?=
PORT ?= 9090
MONITORING ?=
CHECK ?=
AGREED ?=
DISKS ?=
ON ?=
MESSAGE ?=
TLS ?=
ROLE ?=
AT ?=
BUNDLE ?=
CONFIRM ?= 0
LOCK_WAIT ?= 45
SECRET ?=
SECRET_STORE ?=
FROM ?=
web ?=
api ?=
worker ?=
SIGNERS ?=
IMAGE ?=
FILE ?=
RESULTS ?=
WHEN ?=
WATCH ?=
FULL ?=
JSON ?=
STATE ?=
VERSION ?=
ANY_REVISION ?=
JENKINS_MIRROR ?=
export ENV CLOUD NODES RELEASE TO AT BUNDLE SIGNERS CONFIRM LOCK_WAIT WATCH SECRET FROM ON MESSAGE FULL JSON TLS REQUEST \
	MONITORING STATE VERSION RESULTS WHEN STACK AGREED DISKS JENKINS_MIRROR SECRET_STORE

##@ The two that matter
.PHONY: up test
up: ## from a clean machine to a running, verified deployment (NODES=1, 3 or 5; TLS=self_signed)
	@bin/up

test: ## what proves it: check, pages, API, roles, a fleet (needs root or Docker); FULL=1 for all of it
	@bin/test

##@ Operate (ENV=local, staging or production; CLOUD=local, aws, azure, gcp or static)
.PHONY: provision user-data site follow plan show-plan deploy rollback scale rotate move backup restore releases smoke status \
	logs monitoring jenkins jenkins-up jenkins-backup jenkins-restore dashboard ssh down destroy drift scan maintenance \
	audit audit-hosts
provision: $(if $(filter local,$(CLOUD)),engine,tools) ## create the machines (NODES=; at a cloud see docs/clouds.md; CHECK=1 only shows)
	@$(if $(filter local,$(CLOUD)),bin/images host-ready:$(RELEASE),true)
	@bin/play provision $(if $(CHECK),--check)

user-data: tools ## what a cloud's machines are told for their first boot, and the host keys that they will have
	@bin/play user-data

site: tools ## make the machines ready: packages, Docker, one Swarm
	@bin/play site

follow: tools ## at AWS: machines that the Auto Scaling group ends leave the Swarm first; then make site deploy for new ones
	@bin/play follow

plan: images ## what a deploy would do (bin/plan exits with 0 nothing, 2 changes, 1 could not look)
	@bin/plan

show-plan: images ## the same for a pipeline: fails only where it could not look
	@bin/show-plan

deploy: engine ## build and deploy what is in this checkout, or BUNDLE=file (SIGNERS=file), or STACK=cars alone; CONFIRM=1 asks
	@bin/deploy

rollback: tools ## go back to the release before, or to release TO=; STACK=cars: of that service
	@bin/play rollback

scale: tools ## run another number of tasks: make scale web=4 api=3
	@SCALE="$(foreach service,web api worker,$(if $($(service)),$(service)=$($(service))))" bin/play scale

rotate: tools ## give a secret another value, without another image (SECRET=name, FROM=file)
	@bin/rotate

move: tools ## keep everything in PostgreSQL or in SQLite: make move TO=postgresql, or TO=sqlite
	@bin/play move

backup: tools ## back up now, prove it by a restore, and say what was saved
	@bin/play backup

restore: engine ## bring back the newest backup, or that of AT=id or AT=2026-01-31T12:00, onto these machines or new ones
	@bin/restore

releases: tools ## list the releases, or those of STACK=cars
	@bin/play releases

audit: tools ## who deployed what, when, how long each phase took, and with which result
	@bin/play audit

audit-hosts: tools ## Lynis, OpenSCAP, ssh-audit, checkov and our own checks on HOST=m1 and all containers
	@bin/audit-hosts $(HOST)

drift: tools ## in what the fleet is not what is on record (JSON=1; bin/drift exits with 0, 2 or 1)
	@bin/drift

scan: tools ## connect to every port of every machine; fails where one is open that nobody declared
	@bin/scan

maintenance: tools ## ON=1 shows a page on every entry (MESSAGE=…), ON=0 serves again
	@bin/play maintenance

smoke: tools ## ask the deployed site what a visitor and a client would (ANY_REVISION=1: not only what was built here)
	@bin/smoke $(if $(filter 1,$(ANY_REVISION)),--any-revision)

status: tools ## machines, services, tasks, and what the entry serves, its certificate
	@bin/status

logs: tools ## logs of SERVICE=web, api, worker or edge (TAIL=100), or all about one REQUEST=id
	@bin/logs $(SERVICE)

monitoring: engine ## Prometheus and Alertmanager on group monitoring (local: make up MONITORING=1)
	@bin/monitoring

jenkins: tools ## a Jenkins controller and agents on group jenkins (JENKINS_MIRROR=folder or URL)
	@bin/jenkins

jenkins-up: engine ## the same on two local machines, ENV=jenkins, and its URL
	@bin/jenkins-up

jenkins-backup: tools ## archive the controller's home, beside its machine's disk where jenkins_archive says so
	@bin/play jenkins-backup

jenkins-restore: tools ## bring that home back
	@bin/play jenkins-restore

dashboard: tools ## a tunnel to what Prometheus sees, on 127.0.0.1:PORT=9090
	@PORT=$(PORT) bin/dashboard

ssh: tools ## a shell on HOST=m1
	@bin/ssh $(HOST)

down: ## remove everything of this checkout: machines, networks, volumes, registry
	@bin/down

destroy: tools ## remove the machines of ENV at CLOUD (DISKS=remove: a cloud's disks with data, too)
	@bin/play destroy

##@ Build
.PHONY: tools engine base images bundle sbom image-save image-load cars-lock clean
tools: ## the control machine's tools, from hashed lock files
	@bin/tools

engine: tools ## a Docker engine: found, else Debian's installed and started
	@bin/engine

base: engine ## the base image: pulled, else bootstrapped from Debian's packages
	@bin/images base:trixie

images: engine ## web, api, worker, edge, registry; for CLOUD=local machines, too
	@bin/images

bundle: images ## one signed file in dist/, to deploy from where there is no network
	@bin/bundle make

sbom: images ## what is in the images, as CycloneDX in dist/
	@bin/sbom

image-save: engine ## one image as a file for somebody: IMAGE=cars writes dist/cars-VERSION.tar.zst, checksum, signature
	@bin/images $(or $(IMAGE),$(error which image? make image-save IMAGE=cars))
	@bin/image save $(IMAGE)

image-load: ## verify such a FILE= (SIGNERS=file), load its image without a network, say how to run it
	@bin/image load '$(or $(FILE),$(error which file? make image-load FILE=cars-0.1.0.tar.zst))'

cars-lock: engine ## write down which versions of R's packages Debian has now, or had on the day WHEN=2026-11-01
	@bin/images --relock cars

clean: down ## also remove this checkout's images, tools and reports
	@bin/clean

##@ Check
.PHONY: check lint types unit test-processes test-web test-postgresql test-browser test-previous coverage test-infra \
	test-images test-cloud test-azure molecule test-roles test-fleet test-faults test-restore test-vm test-bridge
check: engine ## what needs no machines: linters, types, unit tests, tests of roles and plugins (what has passed is only named)
	@bin/check

lint: engine ## ruff, yamllint, ansible-lint, shellcheck, hadolint, the Jenkinsfile
	@bin/lint

types: tools ## mypy, strict
	@bin/types

unit: tools ## unit tests of the application
	@bin/pytest unit -q -n 3 tests/unit

test-processes: tools ## trainings, workers and servers as processes, and files that want too much of them
	@bin/pytest processes -q -n 2 tests/processes

test-web: tools ## tests of pages and API
	@bin/pytest web -q -n 2 tests/web tests/api

test-postgresql: engine ## the same on PostgreSQL and Valkey, in a container
	@bin/test-postgresql

test-browser: tools ## walks through the running site in Chromium; axe-core on every page
	@bin/browser

test-previous: tools ## the release before (or BASE=) on this tree's migrated schema
	@bin/test-previous

coverage: engine ## lines and branches of the application that unit, process, page and API tests run
	@COVERAGE=1 $(MAKE) unit test-processes test-web test-postgresql
	@bin/coverage

test-infra: engine ## tests of plugins, roles, templates, Jenkinsfile and inventories
	@bin/images base:trixie lint
	@bin/pytest infra -q -n 3 tests/plugins tests/infra tests/inventories

test-cloud: tools ## provision, scale, destroy and faults at stand-ins for AWS and GCP (FULL=1: all that is optional, too)
	@bin/pytest cloud -q -s -n 3 --dist loadfile --ignore-glob '*_azure*' tests/cloud$(if $(FULL),,/test_[123]_*.py)

test-azure: ## the same at a stand-in for Azure, whose 640 MB of packages it installs first (in `make test` where they are)
	@CLOUD=azure bin/tools
	@bin/pytest azure -q -s $(if $(FULL),tests/cloud/test_*azure*.py,tests/cloud/test_4_azure.py)

test-images: images ## the built images: rights, contents, the same layers again; the alerts' own tests
	@bin/images prometheus cars
	@bin/pytest images -q tests/images

test-cars: engine ## the services in R: results, API, the dashboard in Chromium, and their image as a file
	@bin/images cars
	@bin/browser cars

molecule: engine ## roles on real machines (ROLE=docker for one)
	@ENV=local CLOUD=local molecule/run $(ROLE)

test-roles: engine ## those on which all others stand, where they have not passed as they are (FULL=1: all of them)
	@ENV=local CLOUD=local molecule/run --remembered $(if $(FULL),,docker swarm)

test-fleet: images ## three machines from nothing to nothing: up, faults under load, drift (FULL=1: secrets, bundles, services)
	@bin/pytest fleet -v -s $(if $(FULL),tests/fleet,$(sort $(wildcard tests/fleet/test_[124]_*.py tests/fleet/test_3_by_hand.py)))

test-restore: images ## the only machine is lost, and a new one has its data back: recovery point, seconds (not in `make test`)
	@bin/pytest restore -v -s tests/restore

test-vm: engine ## a virtual machine: user data, site, deploy, smoke, reboot (half an hour and more without KVM, not in `make test`)
	@bin/pytest vm -v -s tests/vm

test-bridge: engine ## site, deploy, smoke over each cloud's inventory (CLOUD= for one) and a bastion (not in `make test`)
	@$(if $(filter local azure,$(CLOUD)),CLOUD=azure bin/tools,true)
	@bin/pytest bridge -v -s $(if $(filter local,$(CLOUD)),,-k $(CLOUD)) tests/bridge

test-faults: images ## the faults alone, in a table (FULL=1 for all of them)
	@bin/pytest faults -v -s tests/fleet/test_2_faults.py

##@ Pipeline
.PHONY: jenkins-rehearsal check-request at-version save-state check-state load-state forget-state down-tests updates
check-request: ## can a build do what it is asked for? (ACTION, ENVIRONMENT, VERSION, DRY_RUN)
	@bin/check-request

at-version: ## check out VERSION, a tag or commit of this history
	@bin/at-version

save-state: tools ## all of ENV at CLOUD (SSH key, vault) in one file STATE=, a pipeline's credential
	@bin/state save '$(STATE)'

check-state: tools ## is STATE= of ENV at CLOUD, and does its vault open?
	@bin/state check '$(STATE)'

load-state: tools ## put STATE= where the plays look
	@bin/state load '$(STATE)'

forget-state: ## remove what load-state has put there
	@bin/state forget

down-tests: ## remove what tests that were killed have left, and no environment
	@bin/down-tests

updates: tools ## which pinned packages have newer versions
	@bin/updates

jenkins-rehearsal: engine ## a real Jenkins of JENKINS_MIRROR= reads and builds all this; skipped without one
	@bin/jenkins-rehearsal

##@ The other containers
.PHONY: analysis
analysis: engine ## the batch job in R: efficient_cars.csv into results/, or into RESULTS=dir
	@bin/images cars
	@bin/analysis

##@ Show
.PHONY: screenshots
screenshots: tools ## pictures of every page, light and dark, phone and desktop, for docs/pages.md
	@bin/browser screenshots

##@ Measure
.PHONY: bench-cars bench-deploy bench-images bench-machines bench-predict bench-upload
bench-cars: images ## what weighs what in image cars, seconds of the analysis, requests a second of two tasks
	@bin/images cars
	@bin/bench cars

bench-deploy: images ## seconds and bytes of `make up` and of a code-only deploy to three machines
	@bin/bench deploy

bench-images: images ## sizes of the images, and how long api takes to be ready
	@bin/bench images

bench-machines: tools ## seconds of `bin/play site --check` for 1, 5, 10, 25 and 50 light machines (SIZES=)
	@bin/bench machines

bench-predict: tools ## predictions a second beside MLflow, BentoML, LitServe and FastAPI; what a request costs
	@bin/bench predict

bench-upload: tools ## seconds and memory that the pages take for a CSV file of 100 MB
	@bin/bench upload

.PHONY: help
help: ## this
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

.DEFAULT:
	@echo "beanft: no target '$@': 'make help' lists them" >&2; exit 2
