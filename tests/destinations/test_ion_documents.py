from graphql import build_schema, parse, validate

from attachd.destinations.ion import LOOKED_UP, OPEN, OPEN_AND_LOOK_UP, REGISTER

# Written from the vendor's page on file uploads; nothing more than it says.
VENDOR = build_schema(
    """
    type Query {
      requestFileUploadUrl(filename: String!): FileUploadUrl
      fileAttachment(id: ID!): FileAttachment
      runStep(id: ID!): RunStep
      run(id: ID!): Run
      procedure(id: ID!): Procedure
      step(id: ID!): Step
      part(id: ID!): Part
      runStepField(id: ID!): RunStepField
    }
    type Mutation { createFileAttachment(input: CreateFileAttachmentInput!): CreateFileAttachment }
    type FileUploadUrl { uploadUrl: String s3Key: String contentType: String }
    type FileAttachment { id: ID filename: String downloadUrl: String entityId: ID }
    type CreateFileAttachment { fileAttachment: FileAttachment }
    input CreateFileAttachmentInput {
      filename: String
      s3Key: String
      s3Etag: String
      entityId: ID
      validateUpload: Boolean
    }
    type Entity { id: ID }
    type RunStep { id: ID entity: Entity }
    type Run { id: ID entity: Entity }
    type Procedure { id: ID entity: Entity }
    type Step { id: ID entity: Entity }
    type Part { id: ID entity: Entity }
    type RunStepField { id: ID entity: Entity }
    """
)


def test_every_document_fits_the_vendors_schema():
    """Each document that attachd sends is valid against the schema on the vendor's page."""
    assert set(OPEN_AND_LOOK_UP) == set(LOOKED_UP)
    for document in (OPEN, REGISTER, *OPEN_AND_LOOK_UP.values()):
        assert validate(VENDOR, parse(document)) == []


def test_registration_asks_back_for_the_id_alone():
    """No other field is asked back, so that its resolver cannot make a registration look failed."""
    assert "downloadUrl" not in REGISTER
    assert REGISTER.endswith("{ fileAttachment { id } } }")
