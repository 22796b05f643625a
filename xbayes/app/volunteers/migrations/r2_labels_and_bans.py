"""Labels made of the votes, bans, and the reason why a post is hidden.

Going back loses these. Labels can be imported again; banned accounts can log in again.
"""

import sqlalchemy as sa
from alembic import op

revision = "r2"
down_revision = "r1"


def upgrade() -> None:
    """Add a table and three columns."""
    op.create_table(
        "labels",
        sa.Column("run", sa.String(length=200), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("posterior", sa.Text(), nullable=False),
        sa.Column("entropy", sa.Double(), nullable=False),
        sa.Column("n_votes", sa.Integer(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("imported", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("run", "source", name="pk_labels"),
    )
    op.add_column("users", sa.Column("banned_until", sa.DateTime(), nullable=True))
    op.add_column("users", sa.Column("ban_reason", sa.Text(), server_default="", nullable=False))
    op.add_column("posts", sa.Column("hidden_reason", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("posts", "hidden_reason")
    op.drop_column("users", "ban_reason")
    op.drop_column("users", "banned_until")
    op.drop_table("labels")
