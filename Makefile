PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types wheel clean anew golden documents forms previews library pictures examples site

demo: $(VENV)/demo
	$(BIN)/python -m adain_core stylize workflows/examples/photo_astronaut.jpg workflows/examples/style_flow.jpg \
		-o out/demo.png --overwrite

# Two processes of one thread each: with the threads that torch takes by itself they would wait for each other.
test: $(VENV)/test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST)

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test
	$(BIN)/mypy

wheel:
	PYTHON=$(PYTHON) .ci/wheel

# What is committed and made by a command; CONTRIBUTING.md says when.
anew: library golden previews pictures

golden: $(VENV)/test
	$(BIN)/python -m tests.test_golden

documents: $(VENV)/test
	$(BIN)/python -m tests.nodes.documents

forms: $(VENV)/test
	$(BIN)/python -m tests.nodes.api_forms

previews: $(VENV)/test
	$(BIN)/python -m tests.nodes.previews

library: $(VENV)/demo
	$(BIN)/python workflows/examples/make_library.py $(if $(PAINTINGS),--paintings $(PAINTINGS))

pictures: $(VENV)/demo
	$(BIN)/python docs/make_pictures.py

examples: $(VENV)/test
	$(BIN)/python workflows/examples/make_styles.py workflows/examples
	$(BIN)/python workflows/examples/make_inputs.py workflows/examples

# The documents and the demo as a static site in out/site; needs npm.
site: $(VENV)/site
	$(BIN)/python -m adain_core export lite -o out/onnx --overwrite
	npm ci --prefix site --ignore-scripts
	$(BIN)/python -m mkdocs build --strict -f site/mkdocs.yml

clean:
	rm -rf $(VENV) out build dist site/node_modules

$(VENV)/demo: pyproject.toml constraints.txt | $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e .
	touch $@

# torchvision's own dependency would replace the CPU build of torch where there is one.
$(VENV)/test: pyproject.toml constraints.txt | $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e ".[test]"
	$(BIN)/python -m pip install -c constraints.txt --no-deps torchvision
	touch $@

$(VENV)/site: pyproject.toml constraints.txt | $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e ".[onnx,site]"
	touch $@

$(VENV):
	$(PYTHON) -m venv $@
