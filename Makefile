PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types wheel clean

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

clean:
	rm -rf $(VENV) out build dist

$(VENV)/demo: pyproject.toml constraints.txt | $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e .
	touch $@

# torchvision's own dependency would replace the CPU build of torch where there is one.
$(VENV)/test: pyproject.toml constraints.txt | $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e ".[test]"
	$(BIN)/python -m pip install -c constraints.txt --no-deps torchvision
	touch $@

$(VENV):
	$(PYTHON) -m venv $@
