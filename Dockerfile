# multigan on a CPU: docker build -t multigan . && docker run --rm -v "$PWD/runs:/home/multigan/runs" multigan
# Without TORCH_INDEX the registry's torch is installed, which brings CUDA: name an index of CPU
# builds to save gigabytes (--build-arg TORCH_INDEX=URL).
FROM python:3.11-slim

ARG TORCH_INDEX=""
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
      -c constraints.txt ".[image,music,text,studio]"

RUN useradd --create-home multigan
USER multigan
WORKDIR /home/multigan
ENTRYPOINT ["multigan"]
CMD ["train", "image"]
