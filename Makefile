# The doors of the house. Each target does all its own set-up; a second run takes seconds.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The machine's own architecture: what runs in containers here.
ARCH := $(subst arm64,aarch64,$(shell uname -m))
OUT := $(abspath $(or $(CARGO_TARGET_DIR),target)/amika-dist)
# What amika's build carries into it: amikad-<arch> for each architecture that is here.
export AMIKAD_DIR := $(OUT)/amikad
# The page for browsers, which it carries too.
export AMIKA_PAGE_DIR := $(OUT)/page
# The program that tests and demo drive.
export AMIKA := $(OUT)/amika
PREFIX ?= $(HOME)/.local

.PHONY: help demo test engines build release bench bench-init bench-server bench-page scale lint engine base-image preset dist dist-test install uninstall schema crash-test soak browser-test idle-test web page-check page-test pictures clean-up

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: preset ## Make a sandbox of this repository, and leave a server with the page running
	@scripts/demo "$(AMIKA)"

test: preset ## Run all tests: unit, the daemon alone, end to end on a real engine, the page in Chromium
	@scripts/test-deps
	@scripts/test-images
	@scripts/run-tests
	@scripts/web --check
	@scripts/page-test
	@scripts/test-engines --quick

engines: build engine ## Run what touches an engine on Docker 20.10 and 26.1, Podman 4.3 and 5.4, by ssh and more (an hour)
	@scripts/test-deps
	@scripts/test-images
	@scripts/test-engines

build: engine ## Build amikad (static), the page, and amika with both inside, into target/amika-dist
	@scripts/build "$(ARCH)" "$(OUT)" checkout

# Linked as a whole, which takes four minutes: what people install, and what is measured.
release: engine
	@scripts/build "$(ARCH)" "$(OUT)" release

web: engine ## Build the page for browsers, in a container that has Node
	@scripts/web "$(AMIKA_PAGE_DIR)"

page-check: engine ## Types, lint and unit tests of the page
	@scripts/web --check

page-test: preset ## Drive the page in a real Chromium, against a real server and sandboxes
	@scripts/page-test

pictures: preset ## Take the pictures of the page that the documentation shows
	@scripts/page-test --pictures

browser-test: preset ## Sign in to a sandbox's OpenCode in a real Chromium
	@scripts/browser-test

idle-test: preset ## Show that what is left open keeps no sandbox active, in a real Chromium (minutes)
	@scripts/idle-test

crash-test: preset ## Break amika off at every request that it makes to the engine (minutes)
	@scripts/test-images
	@scripts/crash-test

soak: preset ## Kill the server at every call of the engine and every commit of its database (an hour)
	@scripts/test-images
	@scripts/soak

bench: preset release ## Print the figures that the project holds itself to, as ratios of one run
	@scripts/bench "$(AMIKA)"

bench-init: build ## Give amikad, tini, dumb-init and catatonit the same cases; figures of amikad beside the best
	@scripts/bench-init

bench-server: release ## Print what the server is held to: start, memory, answers a second, a create beside the command line's
	@scripts/test-images
	@scripts/bench-server "$(AMIKA)"

bench-page: release ## Print what the page is held to: its first load, a long list, a terminal's echo, memory under a log
	@scripts/test-images
	@AMIKA="$(AMIKA)" scripts/page-test --bench

scale: preset release ## Make 50 sandboxes with 5 services each and measure the list of them
	@scripts/scale "$(AMIKA)"

lint: ## Formatting, clippy, licences, shell scripts, the picture of the crates
	@scripts/lint

engine: ## Make sure that a Docker Engine answers
	@scripts/engine

base-image: engine ## Make sure that a Debian base image is there
	@scripts/base-image

preset: base-image build ## Build the preset images `coder` and `coder-dind`, unless they are there
	@"$(AMIKA)" image build coder
	@"$(AMIKA)" image build coder-dind

install: release ## Copy amika, its manual and completions to ~/.local (PREFIX=… for another place)
	@scripts/install "$(AMIKA)" "$(PREFIX)"

dist: release ## Make what people install: a tarball, a Debian package, the server's image, checksums
	@scripts/dist "$(ARCH)" "$(OUT)"

dist-test: dist ## Install, start, upgrade and remove each of them in clean containers, upgrading from the commit before
	@scripts/test-dist "$(OUT)"

uninstall: ## Remove what `make install` copied; sandboxes, the key and your settings stay
	@scripts/install --remove "$(PREFIX)"

schema: ## Write docs/schema and docs/server-api.md anew, after what a command prints or a server answers was changed
	@cargo run --locked -q -p amika-cli -- generate schema docs/schema
	@cargo run --locked -q -p amika-cli -- generate api docs

clean-up: ## Remove Amika's containers, images, volumes and networks; git volumes stay
	@scripts/clean-up
