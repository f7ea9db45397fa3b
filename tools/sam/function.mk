# Builds one function for `sam build`, which runs it in the project's folder;
# see BuildMethod in template.yaml. SAM's own Go builder takes neither build
# tags nor CGO_ENABLED=0, without which a function may need a C library that
# its container does not have. The folder's name follows from the logical id:
# ScoreAddFunction is built from functions/score-add.
build-%Function:
	@folder=$$(echo $* | sed 's/[A-Z]/-&/g; s/^-//' | tr A-Z a-z) && \
	CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH) go build -tags lambda.norpc -trimpath -ldflags "-s -w" \
		-o "$(ARTIFACTS_DIR)/bootstrap" "./functions/$$folder"
